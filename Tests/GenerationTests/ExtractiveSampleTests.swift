import ChatJobs
import Glibc
import Logging
import Retrieval
import TestSupport
import Testing

@testable import Generation

/// The sample knowledge base and its questions, as a guard: answers must not become wrong unnoticed.
@Suite struct ExtractiveSampleTests {
    private static let sample = checkout("config/sample")

    private static func questions(_ name: String) throws -> [EvaluationQuestion] {
        let file = try #require(fopen("\(sample)/\(name).jsonl", "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = getc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return try bytes.split(separator: UInt8(ascii: "\n")).map { try EvaluationQuestion(line: Array($0)) }
    }

    @Test(.enabled(if: access("\(sample)/unanswerable.jsonl", R_OK) == 0))
    func mostAnswersAreOfTheRightArticleAndFewOfAWrongOne() async throws {
        let folder = try Folder()
        let store = FileStore(
            path: "\(folder.path)/k.index", logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        let embedder = LexicalEmbedder()
        _ = try await Ingestor(embedder: embedder, store: store).ingest(paths: ["\(Self.sample)/knowledge"])
        let retriever = Retriever(embedder: embedder, store: store)
        func cited(_ questions: [EvaluationQuestion]) async throws -> [Set<String>] {
            let found = try await retriever.retrieve(questions.map(\.query), topK: 4, timeout: .seconds(60))
            return zip(questions, found).map { question, passages in
                let request = GenerationRequest(query: question.query, passages: passages)
                return Set(ExtractiveModel().compose(request).sources.map { String($0.id.split(separator: "#")[0]) })
            }
        }
        let answerable = try Self.questions("questions")
        let answers = try await cited(answerable)
        #expect(answers.allSatisfy { $0.count < 2 }, "an answer is of one document")
        let right = zip(answerable, answers).count { $1.first.map($0.articles.contains) ?? false }
        let wrong = answers.count { !$0.isEmpty } - right
        #expect(right * 100 >= 55 * answerable.count && wrong * 100 <= 12 * answerable.count, "\(right), \(wrong)")
        let unanswerable = try Self.questions("unanswerable")
        let silent = try await cited(unanswerable).count { $0.isEmpty }
        #expect(silent * 100 >= 90 * unanswerable.count, "\(silent)")
    }
}
