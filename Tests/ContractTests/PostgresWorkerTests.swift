import Glibc
import ParleyJSON
import TestSupport
import Testing

extension ContractTests {
    private static let postgres = getenv("PARLEY_TEST_POSTGRES_URL").map { String(cString: $0) }

    private func write(_ word: String, to folder: Folder) throws {
        let lines = (0..<300).map {
            #"{"id": "d\#($0)", "title": "Parcels", "text": "\#(word): the parcel number \#($0)."}"#
        }
        try folder.write("docs.jsonl", lines.joined(separator: "\n"))
    }

    /// The word that all sources of a reply begin with.
    private func word(_ reply: JSONElement) throws -> String {
        let sources = reply["sources"]?.elements ?? []
        #expect(!sources.isEmpty)
        let words = Set(sources.compactMap { $0["text"]?.string?.split(separator: ":").first.map(String.init) })
        #expect(words.count == 1, "\(words)")
        return try #require(words.first)
    }

    @Test(.enabled(if: postgres != nil))
    func aWorkerAnswersFromPostgreSQLWhileIngestsComeAndAreKilled() async throws {
        let folder = try Folder()
        let settings = [
            "vectors.url": "\(try #require(Self.postgres))/worker-\(unique())", "retrieval.mode": "always",
            "model.url": "builtin:extractive", "cache.passages": "0",
        ]
        try write("Old", to: folder)
        #expect(try await parley("ingest", "\(folder.path)/docs.jsonl", settings: settings).status == 0)
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            func ask() async throws -> String {
                let question = #"{"query":"Where is the parcel number?","options":{"cache":"bypass"}}"#
                let reply = try await producer.ask(question, of: worker)
                #expect(try reply.status == "succeeded")
                return try word(reply.json)
            }
            #expect(try await ask() == "Old")
            // Killed after some answers, wherever it is then.
            for answers in [1, 2, 4] {
                try write("Killed", to: folder)
                let ingest = try spawn(
                    [try #require(Surroundings.binary), "ingest", "--anew", "\(folder.path)/docs.jsonl"],
                    ["PARLEY_VECTORS_URL": settings["vectors.url"] ?? "", "HOME": folder.path], folder, "ingest.log")
                for _ in 0..<answers { #expect(try await ["Old", "Killed"].contains(ask())) }
                end(ingest)
            }
            try write("New", to: folder)
            #expect(try await parley("ingest", "--anew", "\(folder.path)/docs.jsonl", settings: settings).status == 0)
            try await waitUntil("the new index is searched") { try await ask() == "New" }
            #expect(try await producer.isEmpty(worker.dead))
        }
        try await worker.stop()
    }
}
