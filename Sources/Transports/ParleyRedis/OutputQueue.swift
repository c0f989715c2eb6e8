/// Bytes that wait to be written, in the order in which they came.
///
/// Bounded by ``limit``; what it holds beyond what waits is less than that, or a mebibyte, so that neither a burst nor a
/// server that reads slowly, and never to the end, leaves memory behind.
struct OutputQueue {
    /// More than this waiting to be written is refused.
    let limit: Int
    private var bytes: [UInt8] = []
    private var written = 0

    /// Less than this is not worth moving or giving back.
    static let smallest = 1 << 20

    init(limit: Int) { self.limit = limit }

    var count: Int { bytes.count - written }
    var isEmpty: Bool { count == 0 }
    /// What it takes of the process's memory.
    var footprint: Int { bytes.capacity }

    func hasRoom(for size: Int) -> Bool { size <= limit - count }

    mutating func append(_ write: (inout [UInt8]) -> Void) { write(&bytes) }

    /// The next bytes, at most `most` of them; valid inside `body` alone.
    func withNext<Result>(_ most: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[written..<min($0.count, written + most)])) }
    }

    /// The first `count` bytes have been taken.
    mutating func drop(_ count: Int) {
        written += count
        if isEmpty {
            bytes.removeAll(keepingCapacity: bytes.capacity <= Self.smallest)
            written = 0
        } else if written >= max(Self.smallest, self.count) {
            // At most as much is moved as was written since the last time.
            bytes = Array(bytes[written...])
            written = 0
        }
    }
}
