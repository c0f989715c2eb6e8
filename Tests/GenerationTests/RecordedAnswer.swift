import ChatJobs
import Foundation
import ParleyJSON
import Testing

@testable import Generation

/// What a real server was seen to answer, and what is to become of it: a row of `Recorded/*.json`.
///
/// `quirks.json` has what was reported of real servers, `more.json` their siblings at other vendors, with a few members more:
/// - `refuses`: what a request must hold to be answered like that (`seed`, `stream=false`, `system`); others are answered well.
/// - `job`: the options of the job.
/// - `only`: `stream` when the answer is to streaming jobs alone.
/// - `expectation.blame`, `.retry`, `.deltas` (`free`: they may be more than the answer), and `keeps`: what the last request
///   must still hold.
struct RecordedAnswer: Sendable, CustomTestStringConvertible {
    let id: String
    let json: JSONElement

    var testDescription: String { id }
    var isStream: Bool { json["kind"]?.string == "stream" }
    var status: Int { json["status"]?.int ?? 200 }
    var body: String { json["body"]?.string ?? "" }
    var chunks: [String] { json["chunks"]?.elements.compactMap(\.string) ?? [] }
    var expectation: JSONElement? { json["expectation"] }
    var isSuccess: Bool { expectation?["outcome"]?.string == "success" }

    /// Those of the models; embedders and stores are tested where they belong.
    static let all: [RecordedAnswer] = ["quirks", "more"].flatMap { name -> [RecordedAnswer] in
        guard let url = Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Recorded"),
            let data = try? Data(contentsOf: url), let rows = try? JSONDocument(Array(data)).root.elements
        else { return [] }
        return rows.map { RecordedAnswer(id: $0["id"]?.string ?? "", json: $0) }
    }.filter { ["chat", "stream"].contains($0.json["kind"]?.string) }

    /// What the first recordings say in prose.
    private static let refusals = [
        "chat-temperature-unsupported": ["temperature"], "chat-max-tokens-unsupported": ["max_tokens"],
        "stream-stream-options-forbidden": ["stream_options"], "chat-thinking-needs-stream": ["stream=false"],
    ]

    private var conditions: [String] {
        Self.refusals[id] ?? json["refuses"]?.elements.compactMap(\.string) ?? []
    }

    /// Whether this is the answer to `request`.
    func isAnswer(to request: FakeServer.Request) -> Bool {
        conditions.isEmpty
            || conditions.contains { condition in
                switch condition {
                case "stream=false": request.json?["stream"]?.bool == false
                case "stream=true": request.json?["stream"]?.bool == true
                case "system": request.json?["messages"]?.elements.first?["role"]?.string == "system"
                default: request.json?[condition] != nil
                }
            }
    }

    var request: GenerationRequest {
        let maxTokens = id == "chat-max-tokens-unsupported" ? 50 : nil
        return GenerationRequest(
            query: "When does my parcel leave?", temperature: json["job"]?["temperature"]?.double,
            maxTokens: json["job"]?["max_tokens"]?.int ?? maxTokens, seed: json["job"]?["seed"]?.int,
            timeout: .seconds(30))
    }

    /// Jobs that may get this answer.
    var streaming: [Bool] {
        let onlyStreams = json["only"]?.string == "stream" || id == "stream-stream-options-forbidden"
        return onlyStreams ? [true] : [true, false]
    }

    /// The answer as a server sends it.
    var steps: [FakeServer.Step] {
        let fields = json["headers"]?.members.map { "\($0.name): \($0.value.string ?? "")\r\n" }.joined() ?? ""
        let head = "HTTP/1.1 \(status) X\r\n\(fields)"
        guard json["chunks"] != nil else {
            return [.send("\(head)content-length: \(body.utf8.count)\r\n\r\n\(body)")]
        }
        let end: [FakeServer.Step] =
            switch json["end"]?.string {
            case "open": [.hold]
            case "reset": [.pause, .reset]
            default: [.streamEnd]
            }
        return [.send("\(head)transfer-encoding: chunked\r\n\r\n")] + chunks.map { .chunk($0) } + end
    }

    static let goodAnswer = "Tuesday."

    /// What a server answers that has nothing against a request.
    static func good(_ request: FakeServer.Request) -> [FakeServer.Step] {
        guard request.json?["stream"]?.bool == true else {
            return [
                .answer(
                    200,
                    #"{"choices":[{"index":0,"message":{"role":"assistant","content":"\#(goodAnswer)"},"finish_reason":"stop"}]}"#
                )
            ]
        }
        let event =
            #"data: {"choices":[{"index":0,"delta":{"content":"\#(goodAnswer)"},"finish_reason":"stop"}]}"#
            + "\n\ndata: [DONE]\n\n"
        return [.streamHead, .chunk(event), .streamEnd]
    }
}
