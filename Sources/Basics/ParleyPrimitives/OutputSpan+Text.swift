// Text is written byte by byte into arrays in many places. Each `append` to an array asks anew whether it is unique and has
// room; `append(addingCapacity:initializingWith:)` asks once, and what is here writes then.

extension OutputSpan<UInt8> {
    /// Appends all of `bytes`.
    @inlinable
    package mutating func append(copying bytes: UnsafeBufferPointer<UInt8>) {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        precondition(bytes.count <= freeCapacity, "no room for what is written")
        withUnsafeMutableBufferPointer { target, count in
            guard let target = target.baseAddress else { return }
            (target + count).initialize(from: source, count: bytes.count)
            count += bytes.count
        }
    }

    /// Appends `number` in decimal digits: 20 at most.
    @inlinable
    package mutating func append(decimal number: UInt64) {
        var length = 1
        var rest = number / 10
        while rest > 0 {
            length += 1
            rest /= 10
        }
        precondition(length <= freeCapacity, "no room for what is written")
        withUnsafeMutableBufferPointer { target, count in
            guard let target = target.baseAddress else { return }
            var rest = number
            var place = count + length
            repeat {
                place -= 1
                (target + place).initialize(to: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
                rest /= 10
            } while place > count
            count += length
        }
    }
}
