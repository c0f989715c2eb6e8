import ChatJobs
import Testing

let decoder = JobDecoder(ownQueues: OwnQueues(base: "chat.jobs", lanes: ["high"]))

/// Decodes `body` as a message with the property `message_id` `m1`, changed by `change`.
func decode(
    _ body: String, decoder: JobDecoder = decoder, _ change: (inout Envelope) -> Void = { _ in }
) throws(JobDecoder.Refusal) -> Job {
    var envelope = Envelope()
    envelope.messageID = "m1"
    change(&envelope)
    return try decoder.decode(Array(body.utf8), envelope, inflate: noGzip)
}

/// Why `body` is refused.
func refusal(
    _ body: String, decoder: JobDecoder = decoder, sourceLocation: SourceLocation = #_sourceLocation,
    _ change: (inout Envelope) -> Void = { _ in }
) throws -> JobDecoder.Refusal {
    do throws(JobDecoder.Refusal) {
        let job = try decode(body, decoder: decoder, change)
        Issue.record("accepted as \(job)", sourceLocation: sourceLocation)
    } catch { return error }
    throw Accepted()
}

struct Accepted: Error {}

func noGzip(_ body: [UInt8], _ limit: Int) throws(JobFailure) -> [UInt8] {
    throw JobFailure(.invalidJob, "not gzip")
}

/// A body with the member `field` beside a query.
func body(_ field: String) -> String { #"{"query":"q",\#(field)}"# }
