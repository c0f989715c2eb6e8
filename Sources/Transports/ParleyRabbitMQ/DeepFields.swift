/// Tables and arrays in a message's headers that lie in too many others. librabbitmq reads each level by a call of its own, and from
/// 0.15 on takes a hundred of them for a broken connection: a message that has them would end every connection that gets it.
enum DeepFields {
    /// So many levels are read.
    private static let most = 64
    /// What fewer bytes hold is not deeper: a level takes five.
    private static let least = 5 * most

    /// Makes byte arrays of the same length of them, which nobody looks into: all three kinds are a length and so many bytes
    /// (AMQP 0-9-1, section 4.2.5.5; RabbitMQ documentation, AMQP 0-9-1 Errata, section 3).
    ///
    /// - Parameter payload: of a content header frame. What is no such is left as it is.
    static func close(in payload: UnsafeMutableRawBufferPointer) {
        guard let headers = headers(in: payload) else { return }
        var at = headers.lowerBound
        var regions = [(end: headers.upperBound, isTable: true)]
        while let region = regions.last {
            guard at < region.end else {
                regions.removeLast()
                continue
            }
            if region.isTable { at += 1 + Int(payload[at]) }
            guard at < region.end else { return }
            let kind = at
            at += 1
            switch payload[kind] {
            case UInt8(ascii: "V"): break
            case UInt8(ascii: "t"), UInt8(ascii: "b"), UInt8(ascii: "B"): at += 1
            case UInt8(ascii: "s"), UInt8(ascii: "u"): at += 2
            case UInt8(ascii: "I"), UInt8(ascii: "i"), UInt8(ascii: "f"): at += 4
            case UInt8(ascii: "D"): at += 5
            case UInt8(ascii: "l"), UInt8(ascii: "L"), UInt8(ascii: "d"), UInt8(ascii: "T"): at += 8
            case UInt8(ascii: "S"), UInt8(ascii: "x"):
                guard let end = end(at, payload, region.end) else { return }
                at = end
            case UInt8(ascii: "F"), UInt8(ascii: "A"):
                guard let end = end(at, payload, region.end) else { return }
                if regions.count > most {
                    payload[kind] = UInt8(ascii: "x")
                    at = end
                } else {
                    at += 4
                    regions.append((end, payload[kind] == UInt8(ascii: "F")))
                }
            default: return
            }
        }
    }

    /// Where the table of headers lies; nil when there is none in which anything can be deep.
    private static func headers(in payload: UnsafeMutableRawBufferPointer) -> Range<Int>? {
        guard payload.count > 14 + least, number(at: 0, payload, UInt16.self) == 60 else { return nil }
        let flags = number(at: 12, payload, UInt16.self)
        // The lowest bit says that there are more flags, for which basic has no properties.
        guard flags & 0x2000 != 0, flags & 1 == 0 else { return nil }
        var at = 14
        // A content type and an encoding come first.
        for flag in [0x8000, 0x4000] as [UInt16] where flags & flag != 0 {
            at += 1 + Int(payload[at])
            guard at < payload.count else { return nil }
        }
        guard let end = end(at, payload, payload.count), end - at - 4 > least else { return nil }
        return at + 4..<end
    }

    /// Where the bytes end whose length stands at `at`; nil when that is beyond `limit`.
    private static func end(_ at: Int, _ payload: UnsafeMutableRawBufferPointer, _ limit: Int) -> Int? {
        guard limit - at >= 4 else { return nil }
        let length = Int(number(at: at, payload, UInt32.self))
        return length <= limit - at - 4 ? at + 4 + length : nil
    }

    private static func number<T: FixedWidthInteger>(
        at offset: Int, _ payload: UnsafeMutableRawBufferPointer, _: T.Type
    ) -> T {
        T(bigEndian: payload.loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}
