import Answering
import ChatJobs
import Pipeline

extension SimulatedBroker {
    /// What became of a message on its way to the broker and its confirm on the way back.
    private enum Passage { case confirmed, lost }

    func publish(_ reply: OutgoingReply, worker: Int, _ life: ProcessLife) async throws(Outage) -> ReplyFate {
        let isRoutable = reply.replyTo == "replies"
        var isRefused = false
        let passage = await pass(life) {
            isRefused = isRoutable && areRepliesRefused
            if isRoutable, !isRefused { ledger.replyArrived(reply, worker: worker) }
        }
        guard passage == .confirmed else { throw Outage(.rabbitMQ, "no confirm") }
        if isRefused {
            ledger.replyRefused(reply)
            return .refused
        }
        if isRoutable { ledger.replyConfirmed(reply) } else { ledger.replyUnroutable(reply) }
        return isRoutable ? .confirmed : .unroutable
    }

    func deadLetter(_ incoming: Incoming, _ failure: JobFailure, _ life: ProcessLife) async throws(Outage) {
        guard let message = incoming.original as? SimulatedMessage else {
            return ledger.violation("a dead letter without its original message")
        }
        let passage = await pass(life) { ledger.deadLetterArrived(message.number, failure.code) }
        guard passage == .confirmed else { throw Outage(.rabbitMQ, "no confirm") }
        ledger.deadLetterConfirmed(message.number)
    }

    func postpone(
        _ incoming: Incoming, _ postponement: Postponement, worker: Int, _ life: ProcessLife
    ) async throws(Outage) {
        guard var message = incoming.original as? SimulatedMessage else {
            return ledger.violation("a message to postpone without its original")
        }
        let envelope = message.envelope
        if (envelope.earlierAttempts, envelope.deferrals, envelope.outages)
            != (postponement.attempts, postponement.deferrals, postponement.outages)
        {
            let cut = isVoid(worker, incoming.receipt) ? connections[worker]?.cut : nil
            ledger.postponing(message.number, for: postponement.delay, cut: cut, life)
        }
        message.envelope.earlierAttempts = postponement.attempts
        message.envelope.deferrals = postponement.deferrals
        message.envelope.outages = postponement.outages
        message.envelope.refusals = postponement.refusals
        let passage = await pass(life) { self.delay(message, for: postponement.delay) }
        guard passage == .confirmed else { throw Outage(.rabbitMQ, "no confirm") }
        ledger.postponementConfirmed(message.number)
    }

    func outboxAvailable() async {
        await pause(.milliseconds(50))
        await pause(outboxDownUntil - executor.now)
    }

    private func pass(_ life: ProcessLife, arrive: () -> Void) async -> Passage {
        let outagesBefore = outboxOutages
        await executor.sleepUncancelled(until: executor.now + executor.draw(latencies.broker))
        // The bytes may have left before the process or the connection did.
        if !life.isAlive || outboxOutages != outagesBefore || executor.now < outboxDownUntil {
            if executor.chance(50) { arrive() }
            return .lost
        }
        arrive()
        await executor.sleepUncancelled(until: executor.now + executor.draw(latencies.broker))
        return life.isAlive && outboxOutages == outagesBefore ? .confirmed : .lost
    }
}

/// One worker's consumer.
package struct SimulatedIntake: Intake {
    let broker: SimulatedBroker
    let worker: Int
    let life: ProcessLife

    package init(broker: SimulatedBroker, worker: Int, life: ProcessLife) {
        self.broker = broker
        self.worker = worker
        self.life = life
    }

    package func nextWindow(atMost limit: Int) async -> [Incoming]? {
        guard life.isAlive else { return nil }
        return await broker.nextWindow(worker, atMost: limit)
    }

    package func acknowledge(_ receipt: Receipt) async {
        if life.isAlive { await broker.acknowledge(worker, receipt) }
    }

    package func handBack(_ receipt: Receipt) async {
        if life.isAlive { await broker.handBack(worker, receipt) }
    }

    package func isVoid(_ receipt: Receipt) async -> Bool { await broker.isVoid(worker, receipt) }

    package func pause() async {
        if life.isAlive { await broker.pause(worker: worker) }
    }

    package func resume() async {
        if life.isAlive { await broker.resume(worker: worker) }
    }
}

/// One worker's publisher.
package struct SimulatedOutbox: Outbox {
    let broker: SimulatedBroker
    let worker: Int
    let life: ProcessLife

    package init(broker: SimulatedBroker, worker: Int, life: ProcessLife) {
        self.broker = broker
        self.worker = worker
        self.life = life
    }

    package func publish(_ reply: OutgoingReply) async throws(Outage) -> ReplyFate {
        guard life.isAlive else { throw Outage(.rabbitMQ, "the process is dead") }
        return try await broker.publish(reply, worker: worker, life)
    }

    package func deadLetter(
        _ incoming: Incoming, _ failure: JobFailure, attempts: Int, id: JobID?
    ) async throws(Outage) {
        guard life.isAlive else { throw Outage(.rabbitMQ, "the process is dead") }
        try await broker.deadLetter(incoming, failure, life)
    }

    package func postpone(_ incoming: Incoming, _ postponement: Postponement) async throws(Outage) {
        guard life.isAlive else { throw Outage(.rabbitMQ, "the process is dead") }
        try await broker.postpone(incoming, postponement, worker: worker, life)
    }

    package func untilAvailable() async {
        if life.isAlive { await broker.outboxAvailable() }
    }
}
