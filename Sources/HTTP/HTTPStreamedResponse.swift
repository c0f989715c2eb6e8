import Synchronization

/// An answer whose body is still arriving.
public struct HTTPStreamedResponse: Sendable {
    public let status: Int
    public let headers: [HTTPHeader]
    public let version: HTTPVersion
    /// Decompressed. Can be read once.
    public let body: HTTPBody

    /// The first field called `name`, whatever its case.
    public func header(_ name: String) -> String? { headers.first(named: name) }

    /// Whether the status is 200 … 299.
    public var isSuccess: Bool { (200..<300).contains(status) }

    /// The rest of the body in one piece.
    /// - Throws: ``HTTPError``; ``HTTPError/Code-swift.struct/tooLarge`` beyond `limit` bytes, the transfer then ends.
    public func collect(upTo limit: Int) async throws(HTTPError) -> [UInt8] {
        var whole: [UInt8] = []
        var chunks = body.makeAsyncIterator()
        while let chunk = try await chunks.next() {
            guard whole.count + chunk.count <= limit else {
                throw HTTPError(code: .tooLarge, message: "the body is longer than the \(limit) bytes allowed")
            }
            whole += chunk
        }
        return whole
    }
}

/// The chunks of a body as they arrive.
///
/// Back-pressure: when more than 256 KiB wait for the reader, libcurl stops reading from the connection. The transfer
/// is aborted when the iterator, or a body nobody iterates, goes out of scope before its end, and when the reading task
/// is cancelled.
public struct HTTPBody: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    public typealias Failure = HTTPError

    let lease: HTTPBodyLease

    /// Single pass: a second iterator finds nothing and does not disturb the first.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(lease: lease.handOver()) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let lease: HTTPBodyLease?

        /// All that has arrived since the last call; `nil` at the end.
        public mutating func next() async throws(HTTPError) -> [UInt8]? { try await lease?.next() }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(HTTPError) -> [UInt8]? {
            try await lease?.next()
        }
    }
}

/// The right to read a body; the transfer is aborted when it goes unused.
final class HTTPBodyLease: Sendable {
    private let client: HTTPClient
    private let id: UInt64
    private let over = Atomic(false)

    init(client: HTTPClient, id: UInt64) {
        self.client = client
        self.id = id
    }

    deinit {
        guard !over.load(ordering: .relaxed) else { return }
        // A deinit cannot wait: the task carries the news to the loop.
        Task { [client, id] in await client.abandon(id) }
    }

    /// A lease of its own for the first iterator, so that dropping the iterator is noticed while the body is kept.
    func handOver() -> HTTPBodyLease? {
        over.exchange(true, ordering: .relaxed) ? nil : HTTPBodyLease(client: client, id: id)
    }

    func next() async throws(HTTPError) -> [UInt8]? {
        if over.load(ordering: .relaxed) { return nil }
        do {
            if let chunk = try await client.nextChunk(id) { return chunk }
        } catch {
            over.store(true, ordering: .relaxed)
            throw error
        }
        over.store(true, ordering: .relaxed)
        return nil
    }
}
