import ParleyJSON

/// A message of another system that was sent to the job queue: its producer is told so, and not only what it lacks.
package enum ForeignMessage: Sendable, Equatable {
    /// A header `task`, and the task's id in a header of its own.
    case celery(id: String?)
    /// Its type mapper's headers, or a serialised Java object.
    case spring
    /// A body whose sections the broker could not make one of.
    case amqp10
    case massTransit
    /// A reply or a chunk of Parley's own, sent to where jobs are taken.
    case reply
    /// What a dead letter holds of a body that was too large to keep, brought back to where jobs are taken.
    case stub(bytes: Int64)

    /// What can be told from the message itself, beside what its properties have shown.
    static func recognized(_ body: [UInt8], _ envelope: Envelope) -> ForeignMessage? {
        if let known = envelope.foreign { return known }
        if let type = envelope.contentType?.lowercased() {
            if type.hasPrefix("application/x-java-serialized-object") { return .spring }
            if type.hasPrefix("application/vnd.masstransit") { return .massTransit }
        }
        // A described type of AMQP 1.0: data, sequence or value (OASIS AMQP 1.0, part 3, sections 3.2.6 to 3.2.8).
        if body.count > 2, body[0] == 0x00, body[1] == 0x53, (0x75...0x77).contains(body[2]) { return .amqp10 }
        return stub(body)
    }

    /// `{"stub": true, "bytes": …}`, the digest beside it, and nothing of a job.
    private static func stub(_ body: [UInt8]) -> ForeignMessage? {
        guard body.count < 256, let root = try? JSONDocument(body).root, root["stub"]?.bool == true,
            root["query"] == nil, let bytes = root["bytes"]?.int
        else { return nil }
        return .stub(bytes: Int64(clamping: bytes))
    }

    /// The id that its sender knows it by, when that is no property that jobs have.
    var id: String? { if case .celery(let id) = self { id } else { nil } }

    /// Where replies to it make sense to nobody.
    var isAnswerable: Bool { self != .reply }

    /// What it looks like, and what is needed.
    var hint: String {
        let job = "a job is a JSON object with a query and an id; see \"What is no job\" in docs/messages.md"
        return switch self {
        case .celery:
            "this looks like a task of Celery's (header task): send_task and delay publish in Celery's own form, and \(job)"
        case .spring:
            "this looks like an object that Spring has serialised: convert it to JSON (Jackson2JsonMessageConverter), \(job)"
        case .amqp10: "this looks like AMQP 1.0's own encoding: send the JSON in one data section, \(job)"
        case .massTransit: "this looks like an envelope of MassTransit's: send raw JSON (UseRawJsonSerializer), \(job)"
        case .stub(let bytes):
            "this is what a dead letter keeps of a body of \(bytes) bytes, which was above limits.body: there is no question in "
                + "it to answer, and its producer has to publish the job again, smaller"
        case .reply: "this is a reply of Parley's, sent to where jobs are taken; \(job)"
        }
    }
}
