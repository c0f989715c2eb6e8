import IOLoop

/// Closes the engine of a client that was dropped without ``HTTPClient/close()``.
///
/// A client may go away on any thread, and only the loop may touch libcurl. (An `isolated deinit` of the client would
/// do; Swift 6.3 cannot compile the importers of an actor that has one and an executor of its own in release mode.)
final class EngineOwner {
    let engine: TransferEngine

    init(_ engine: TransferEngine) { self.engine = engine }

    deinit {
        guard !engine.closed else { return }
        let left = Remains(engine: engine)
        Task { await Sweeper(loop: left.engine.loop).close(left) }
    }

    /// Proof of @unchecked Sendable: it is opened on the engine's loop only, `loop` aside, which is constant.
    private struct Remains: @unchecked Sendable {
        let engine: TransferEngine
    }

    private actor Sweeper {
        let loop: IOLoop
        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

        init(loop: IOLoop) { self.loop = loop }

        func close(_ left: Remains) { left.engine.close() }
    }
}
