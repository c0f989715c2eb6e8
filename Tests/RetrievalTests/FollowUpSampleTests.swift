import ChatJobs
import ParleyJSON
import Routing
import Testing

@testable import Retrieval

/// The sample's 60 follow-ups, searched for as they are and with the question that they follow up in front.
@Suite struct FollowUpSampleTests {
    private static let sample =
        String(#filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }) + "/config/sample"

    @Test(.enabled(if: FileStamp(path: "\(sample)/followups.jsonl") != nil))
    func appendedQuestionsMakeFollowUpsFindTheirArticle() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let embedder = LexicalEmbedder()
        _ = try await Ingestor(embedder: embedder, store: store).ingest(paths: ["\(Self.sample)/knowledge"])
        let lines = try Files.read("\(Self.sample)/followups.jsonl", limit: 1 << 20).split(
            separator: UInt8(ascii: "\n"))
        let followUps = try lines.map { try JSONDocument(Array($0)).root }
        #expect(followUps.count == 60)
        let router = try Router.builtin.get()
        var alone: [String] = []
        var rewritten: [String] = []
        for line in followUps {
            let query = line["query"]?.string ?? ""
            let turns = (line["history"]?.elements ?? []).map { turn in
                Turn(role: turn["role"]?.string == "user" ? .user : .assistant, content: turn["content"]?.string ?? "")
            }
            alone.append(query)
            rewritten.append(router.searchText(query: query, history: turns) ?? query)
            #expect(
                router.decision(query: query, history: turns).needsPassages || query == "what does that mean exactly?")
        }
        let retriever = Retriever(embedder: embedder, store: store)
        func hits(_ queries: [String]) async throws -> Int {
            let found = try await retriever.matches(queries, topK: 4, timeout: .seconds(60))
            return zip(followUps, found).count { line, matches in
                matches.contains { $0.passage.documentID == line["article"]?.string }
            }
        }
        let (before, after) = (try await hits(alone), try await hits(rewritten))
        // Measured: 42 and 58.
        #expect(after >= before + 12, "\(before) before, \(after) after")
        #expect(after >= 54, "\(after) of 60")
    }
}
