import Glibc

/// Keeps the best few of many scored passages; equal scores keep the earlier passage first.
struct TopMatches {
    private let limit: Int
    /// Best first.
    private(set) var sorted: [(index: Int, score: Float)] = []

    init(count: Int) {
        limit = max(0, count)
        sorted.reserveCapacity(min(limit, 1024) + 1)
    }

    /// Passages are offered in ascending order of their index.
    @inline(__always)
    mutating func offer(index: Int, score: Float) {
        guard !score.isNaN else { return }
        if sorted.count == limit {
            guard let worst = sorted.last, score > worst.score else { return }
        }
        insert(index, score)
    }

    private mutating func insert(_ index: Int, _ score: Float) {
        let place = sorted.firstIndex { $0.score < score } ?? sorted.count
        sorted.insert((index, score), at: place)
        if sorted.count > limit { sorted.removeLast() }
    }
}

/// The inner product, eight floats at a time. Reads as many as the shorter has.
func dotProduct(_ a: UnsafeBufferPointer<Float>, _ b: UnsafeBufferPointer<Float>) -> Float {
    let count = min(a.count, b.count)
    guard let a = a.baseAddress, let b = b.baseAddress else { return 0 }
    let rawA = UnsafeRawPointer(a)
    let rawB = UnsafeRawPointer(b)
    var sums = (SIMD8<Float>.zero, SIMD8<Float>.zero)
    var at = 0
    while at + 16 <= count {
        let offset = at * MemoryLayout<Float>.stride
        sums.0 +=
            rawA.loadUnaligned(fromByteOffset: offset, as: SIMD8<Float>.self)
            * rawB.loadUnaligned(fromByteOffset: offset, as: SIMD8<Float>.self)
        sums.1 +=
            rawA.loadUnaligned(fromByteOffset: offset + 32, as: SIMD8<Float>.self)
            * rawB.loadUnaligned(fromByteOffset: offset + 32, as: SIMD8<Float>.self)
        at += 16
    }
    var sum = (sums.0 + sums.1).sum()
    while at < count {
        sum += a[at] * b[at]
        at += 1
    }
    return sum
}

func logOnePlus(_ value: Float) -> Float { log1pf(value) }
