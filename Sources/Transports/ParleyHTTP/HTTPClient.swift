import IOLoop
import Logging

/// An HTTP client over libcurl's `curl_multi`: hundreds of requests at once on one thread, over few connections.
///
/// Connections are kept open and shared; HTTP/2 is used where the server offers it over TLS. A request for which a
/// kept connection turns out to be closed, within a second and before any of the answer came, is sent again, once and on
/// a fresh one; what breaks later is an error that says that the request was sent.
/// All methods may be called from any task; on the client's own loop they cost no hop between threads.
package actor HTTPClient {
    private let loop: IOLoop
    private let owner: EngineOwner

    /// Where the transfer is.
    private func engine(of id: UInt64) -> TransferEngine { owner.engines[Int(id % UInt64(owner.most))] }

    /// Connects nothing yet. `loop` may be shared with other clients and must outlive this one.
    package init(configuration: HTTPClientConfiguration = .init(), loop: IOLoop, logger: Logger) {
        self.loop = loop
        owner = EngineOwner(loop: loop, configuration: configuration, logger: logger)
    }

    nonisolated package var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// Requests begun and not ended, those waiting for a connection included.
    package var inFlight: Int { owner.engines.reduce(0) { $0 + $1.inFlight } }

    /// Sends `request` and waits for the whole answer. An error status is an answer, not an error.
    ///
    /// Cancelling the task aborts the transfer: its connection is closed, or its HTTP/2 stream reset.
    /// - Throws: ``HTTPError``.
    package func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
        let transfer = try start(request, streamed: false)
        return try await wait(for: transfer) { transfer.waiting = .whole($0) }
    }

    /// Sends `request` and returns as soon as the header has arrived; the body follows as it comes.
    ///
    /// The total timeout covers the body too: set it to `nil` for streams without a known end.
    /// - Throws: ``HTTPError``.
    package func stream(_ request: consuming HTTPRequest) async throws(HTTPError) -> HTTPStreamedResponse {
        let transfer = try start(request, streamed: true)
        let head: HTTPResponse = try await wait(for: transfer) { transfer.waiting = .head($0) }
        return HTTPStreamedResponse(head: head, body: HTTPBody(lease: HTTPBodyLease(client: self, id: transfer.id)))
    }

    /// Aborts what is in flight (``HTTPError/Code-swift.struct/clientClosed``) and closes every connection.
    package func close() async { owner.close() }

    // MARK: - For the body of a stream

    func nextChunk(_ id: UInt64) async throws(HTTPError) -> [UInt8]? {
        let engine = engine(of: id)
        guard let transfer = engine.transfers[id], transfer.waiting == nil else { return nil }
        if Task.isCancelled { cancel(id) }
        if let chunk = engine.takeChunk(transfer) { return try chunk.get() }
        return try await wait(for: transfer) { transfer.waiting = .chunk($0) }
    }

    func abandon(_ id: UInt64) { engine(of: id).abandon(id) }

    // MARK: - Waiting

    private func start(_ request: consuming HTTPRequest, streamed: Bool) throws(HTTPError) -> Transfer {
        if Task.isCancelled {
            throw HTTPError(
                code: .cancelled, message: "\(request.method): the task was cancelled before the request began")
        }
        return try owner.freest.start(request, streamed: streamed)
    }

    private func wait<Value: Sendable>(
        for transfer: Transfer, _ register: (Transfer.Waiter<Value>) -> Void
    ) async throws(HTTPError) -> Value {
        let id = transfer.id
        let result = await withTaskCancellationHandler {
            await self.suspend(for: transfer, register)
        } onCancel: {
            // Cancellation arrives on any thread and cannot wait: the task only carries it to the loop.
            Task { await self.cancel(id) }
        }
        return try result.get()
    }

    /// A method, not a closure in ``wait(for:_:)``: an async closure that does not use `self` is not isolated to this
    /// actor and would leave the loop.
    private func suspend<Value: Sendable>(
        for transfer: Transfer, _ register: (Transfer.Waiter<Value>) -> Void
    ) async -> Result<Value, HTTPError> {
        await withCheckedContinuation { continuation in
            assertIsolated()
            register(continuation)
            // What is waited for may have come first, a cancellation above all.
            transfer.engine.serve(transfer)
        }
    }

    private func cancel(_ id: UInt64) {
        let engine = engine(of: id)
        guard let transfer = engine.transfers[id] else { return }
        engine.fail(id, transfer.error(.cancelled, "the task was cancelled"))
    }
}
