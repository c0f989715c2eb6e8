import Glibc
import TestSupport
import Testing

/// A worker that is told to end on a bad day ends all the same, soon after its grace, and leaves the jobs to the next.
extension BadDayTests {
    @Test func aWorkerEndsWhileTheBrokerIsAway() async throws {
        let model = try await ModelServer(delay: .seconds(600))
        let (worker, ids) = try await busyWorker(model)
        try await broker.control("stop_app")
        let end = await Result {
            _ = try await eventually("the lost connection") { lines(worker, "not connected").first }
            try await endsSoon(worker)
        }
        // In any case: the broker is the other tests', too.
        try await broker.control("start_app")
        try end.get()
        model.answer(after: .zero)
        try await answers(ids, queue: worker.queue, ["model.url": model.url])
    }

    @Test func aWorkerEndsWhileTheBrokerStandsStill() async throws {
        let model = try await ModelServer(delay: .seconds(600))
        let (worker, ids) = try await busyWorker(model)
        let process = try await broker.process()
        #expect(kill(process, SIGSTOP) == 0)
        let end = await Result { try await endsSoon(worker) }
        #expect(kill(process, SIGCONT) == 0)
        try end.get()
        model.answer(after: .zero)
        try await answers(ids, queue: worker.queue, ["model.url": model.url])
    }

    @Test func aWorkerEndsWhileTheBrokerTakesNoMessagesAndItsAnswersAreNotBoughtAgain() async throws {
        let model = try await ModelServer(delay: .seconds(600))
        let (worker, ids) = try await busyWorker(model)
        try await broker.control("set_disk_free_limit", "mem_relative", "1000.0")
        model.answer(after: .zero)
        _ = try await eventually("the alarm's line") { lines(worker, "takes no messages").first }
        try await endsSoon(worker)
        try await broker.control("set_disk_free_limit", "50MB")
        try await answers(ids, queue: worker.queue, ["model.url": model.url])
        #expect(model.questions.count == 5, "what was stored was answered from the store")
    }

    /// A worker with five jobs in the model, which does not answer yet, and their ids.
    private func busyWorker(_ model: ModelServer) async throws -> (Worker, Set<String>) {
        let worker = try await start(["model.url": model.url, "worker.shutdown_grace": "1s"])
        var ids: Set<String> = []
        try await Producer.with(rabbitMQ: broker.url()) { ids = try await publish(5, from: $0, to: worker) }
        _ = try await eventually("5 questions") { model.questions.count == 5 ? true : nil }
        return (worker, ids)
    }

    /// Within its grace and a little more, not after one of the client libraries' time-outs.
    private func endsSoon(_ worker: Worker) async throws {
        let begun = ContinuousClock.now
        #expect(try await worker.stop() == 0)
        #expect(.now - begun < .seconds(15))
    }

    /// The next worker of the queue answers the jobs that are in it, all of them.
    private func answers(_ ids: Set<String>, queue: String, _ settings: [String: String]) async throws {
        let next = try await start(queue: queue, settings)
        for id in ids {
            _ = try await eventually("the result of \(id)", within: .seconds(60)) {
                try await parley("result", id).status == 0 ? true : nil
            }
        }
        _ = try await eventually("an empty queue") { try await settled(next) ? true : nil }
        #expect(try await next.stop() == 0)
    }
}

extension Result where Success == Void, Failure == any Error {
    fileprivate init(_ body: () async throws -> Void) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
