import Synchronization

/// An answer whose body is still arriving.
package struct HTTPStreamedResponse: Sendable {
    let head: HTTPResponse
    /// Decompressed. Can be read once.
    package let body: HTTPBody

    package var status: Int { head.status }
    package var version: HTTPVersion { head.version }
    /// Read anew with each call.
    package var headers: [HTTPHeader] { head.headers }

    /// The first field called `name`, whatever its case.
    package func header(_ name: String) -> String? { head.header(name) }

    /// Whether the status is 200 … 299.
    package var isSuccess: Bool { (200..<300).contains(status) }

    /// The rest of the body in one piece.
    /// - Throws: ``HTTPError``; ``HTTPError/Code-swift.struct/tooLarge`` beyond `limit` bytes, the transfer then ends.
    package func collect(upTo limit: Int) async throws(HTTPError) -> [UInt8] {
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
package struct HTTPBody: AsyncSequence, Sendable {
    package typealias Element = [UInt8]
    package typealias Failure = HTTPError

    let lease: HTTPBodyLease

    /// Single pass: a second iterator finds nothing and does not disturb the first.
    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(lease: lease.handOver()) }

    package struct AsyncIterator: AsyncIteratorProtocol {
        let lease: HTTPBodyLease?

        /// All that has arrived since the last call; `nil` at the end.
        package mutating func next() async throws(HTTPError) -> [UInt8]? { try await lease?.next() }

        package mutating func next(isolation actor: isolated (any Actor)?) async throws(HTTPError) -> [UInt8]? {
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
