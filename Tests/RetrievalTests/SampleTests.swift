import ParleyJSON
import Testing

@testable import Retrieval

/// The sample knowledge base and its questions, as a guard: what is found must not get worse unnoticed.
@Suite struct SampleTests {
    private static let sample =
        String(#filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }) + "/config/sample"

    @Test(.enabled(if: FileStamp(path: "\(sample)/questions.jsonl") != nil))
    func builtinLexicalFindsTheArticleForMostQuestions() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let embedder = LexicalEmbedder()
        let summary = try await Ingestor(embedder: embedder, store: store).ingest(paths: ["\(Self.sample)/knowledge"])
        #expect(summary.added >= 60 && summary.skipped.isEmpty)
        let lines = try Files.read("\(Self.sample)/questions.jsonl", limit: 1 << 20).split(
            separator: UInt8(ascii: "\n"))
        let questions = try lines.map { try JSONDocument(Array($0)).root }
        let found = try await Retriever(embedder: embedder, store: store)
            .matches(questions.map { $0["query"]?.string ?? "" }, topK: 4, timeout: .seconds(60))
        for language in ["en", "zh"] {
            let asked = zip(questions, found).filter { $0.0["lang"]?.string == language }
            let hits = asked.filter { question, matches in
                matches.contains { $0.passage.documentID == question["article"]?.string }
            }
            #expect(hits.count * 100 >= asked.count * 88, "\(language): \(hits.count) of \(asked.count)")
        }
    }
}
