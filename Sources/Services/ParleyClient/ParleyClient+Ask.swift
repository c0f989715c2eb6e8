import ChatJobs
import IOLoop
import ParleyRabbitMQ

/// What a streamed answer consists of.
public enum AnswerEvent: Sendable, Equatable {
    /// The next piece of the answer.
    case delta(String)
    /// The worker started over (after a crash or a failed attempt): forget the pieces so far.
    case restarted
    /// The end: the whole reply.
    case reply(Reply)
}

extension ParleyClient {
    /// Asks a question and waits for the reply.
    /// - Throws: see ``ask(_:priority:timeout:)-(Job,_,_)``.
    public func ask(
        _ query: String, priority: Int? = 9, timeout: Duration = .seconds(120)
    ) async throws(ParleyClientError) -> Reply {
        try await ask(Job(id: .random(), query: query), priority: priority, timeout: timeout)
    }

    /// Publishes a job and waits for its reply, whatever its status.
    /// - Throws: ``ParleyClientError``: `timedOut` when none came in `timeout`, `unroutable`, `unreachable`.
    public func ask(
        _ job: Job, priority: Int? = 9, timeout: Duration = .seconds(120)
    ) async throws(ParleyClientError) -> Reply {
        let events = try await begin(job, priority: priority, timeout: timeout)
        do {
            for try await event in events {
                if case .reply(let reply) = event { return reply }
            }
        } catch let error as ParleyClientError {
            throw error
        } catch {
            throw ParleyClientError(.closed, "\(error)")
        }
        throw ParleyClientError(.closed, "the client was closed")
    }

    /// Publishes a job with `stream: true` and gives its answer piece by piece; the last event is the reply.
    ///
    /// Leaving the sequence early stops listening, not the job.
    /// - Throws: as ``ask(_:priority:timeout:)-(Job,_,_)``, from the call or from the sequence.
    public func stream(
        _ job: Job, priority: Int? = 9, timeout: Duration = .seconds(120)
    ) async throws(ParleyClientError) -> AsyncThrowingStream<AnswerEvent, any Error> {
        var job = job
        job.stream = true
        return try await begin(job, priority: priority, timeout: timeout)
    }

    private func begin(
        _ job: Job, priority: Int?, timeout: Duration
    ) async throws(ParleyClientError) -> AsyncThrowingStream<AnswerEvent, any Error> {
        guard !isClosed else { throw .isClosed }
        let inbox = try await openInbox()
        let (events, continuation) = AsyncThrowingStream.makeStream(of: AnswerEvent.self)
        let id = job.id.text
        await inbox.listen(for: id, continuation)
        let late = ParleyClientError(.timedOut, "no reply to \(id) within \(timeout); look with: parley result \(id)")
        let timer = loop.schedule(after: timeout) { inbox.assumeIsolated { $0.finish(id, .failure(late)) } }
        continuation.onTermination = { _ in Task { await self.stopListening(id, timer) } }
        do throws(ParleyClientError) {
            let message = JobMessage(job, priority: priority, replyTo: inbox.queue)
            try await publish([message], timeout: min(timeout, configuration.rabbitMQ.confirmTimeout))[0].get()
        } catch {
            await inbox.finish(id, .failure(error))
            throw error
        }
        return events
    }

    private func stopListening(_ id: String, _ timer: IOTimer) async {
        loop.cancel(timer)
        await replies?.forget(id)
    }

    /// The client's own reply queue, made when the first question is asked. Who asks meanwhile waits for it, too.
    private func openInbox() async throws(ParleyClientError) -> ReplyInbox {
        let inbox = replies ?? makeInbox()
        try await inbox.untilReady(within: configuration.rabbitMQ.connectTimeout + configuration.rabbitMQ.rpcTimeout)
        return inbox
    }

    private func makeInbox() -> ReplyInbox {
        let queue = "chat.replies.\(JobID.random().text)"
        let declaration = QueueDeclaration(
            name: queue, durable: false, exclusive: true, autoDelete: true, arguments: ["x-queue-type": "classic"])
        let consumer = RabbitMQConsumer(
            configuration: configuration.rabbitMQ, loop: loop, queues: [queue], noAck: true,
            setup: { connection throws(RabbitMQError) in _ = try await connection.declare(declaration) },
            onEvent: { [weak self] event in
                guard case .connected = event, let self else { return }
                Task { await self.inboxConnected() }
            }, logger: logger)
        let inbox = ReplyInbox(queue: queue, consumer: consumer, loop: loop)
        replies = inbox
        // Unstructured: it lives as long as the client.
        Task {
            await consumer.start()
            while let deliveries = await consumer.next(atMost: 256) {
                for delivery in deliveries { await inbox.take(delivery) }
            }
        }
        return inbox
    }

    /// After a reconnection: replies may have gone to the queue that died with the old connection.
    private func inboxConnected() async {
        guard let replies else { return }
        let isFirst = await replies.becameReady()
        guard !isFirst, redis != nil else { return }
        for id in await replies.waiting {
            guard let jobID = JobID(id), let reply = try? await result(jobID) else { continue }
            await replies.finish(id, .success(reply))
        }
    }
}
