import Glibc
import TestSupport
import Testing

@testable import Retrieval

/// `parley ingest`, killed at some moment while a worker reads.
@Suite(.enabled(if: environment("PARLEY_TEST_BINARY") != nil), .serialized) struct KilledIngestTests {
    static let places = ["file"] + (environment("PARLEY_TEST_POSTGRES_URL").map { ["\($0)/killed-\(unique())"] } ?? [])
    private static let count = 400

    /// Starts an ingest of documents that all differ from those of another `round`.
    private func ingest(_ url: String, round: Int, isAnew: Bool, _ folder: Folder) throws -> pid_t {
        let lines = (0..<Self.count).map {
            #"{"id": "d\#($0)", "title": "Parcels", "text": "Round \#(round): the parcel number \#($0)."}"#
        }
        try folder.write("docs.jsonl", lines.joined(separator: "\n"))
        return try spawn(
            [try #require(environment("PARLEY_TEST_BINARY")), "ingest", "\(folder.path)/docs.jsonl"]
                + (isAnew ? ["--anew"] : []),
            ["PARLEY_VECTORS_URL": url, "HOME": folder.path, "PATH": environment("PATH") ?? ""], folder,
            "ingest-\(round).log")
    }

    @Test(arguments: places, [false, true])
    func whoReadsHasTheOldIndexWholeOrTheNewOne(_ place: String, _ isAnew: Bool) async throws {
        let folder = try Folder()
        let url = place == "file" ? "file:\(folder.path)/k.index" : "\(place)-\(isAnew)"
        let began = ContinuousClock.now
        let first = try ingest(url, round: 0, isAnew: false, folder)
        let status: Int32 = try await TestSupport.eventually("the first ingest", within: .seconds(300)) {
            try endOf(first)
        }
        try #require(status == 0, "\(folder.read("ingest-0.log"))")
        let length = ContinuousClock.now - began

        let reader = try makeStore(url: url, http: http, logger: quiet)
        let query = SearchQuery(text: "parcel", vector: Embedding(LexicalEmbedder.vector(of: "parcel")))
        /// The round that all passages are of which a search finds.
        func round() async throws -> Int? {
            let found = try await reader.search([query], topK: 50, timeout: .seconds(60))[0]
            #expect(found.count == 50)
            let rounds = Set(found.compactMap { $0.passage.text.split(separator: " ").dropFirst().first })
            #expect(rounds.count == 1, "\(rounds)")
            return rounds.first.flatMap { Int($0.dropLast()) }
        }
        var random = Seeded(state: isAnew ? 1 : 2)
        var hashes = try await reader.contentHashes()
        for number in 1...3 {
            let process = try ingest(url, round: number, isAnew: isAnew, folder)
            let moment = ContinuousClock.now + length * Double.random(in: 0.1...1, using: &random)
            var isOver = false
            while ContinuousClock.now < moment, !isOver {
                let seen = try #require(try await round())
                #expect(seen <= number)
                // The tests beside it share a few threads with this one.
                try await Task.sleep(for: .milliseconds(20))
                isOver = try endOf(process) != nil
            }
            if !isOver { end(process) }
            let now = try await reader.contentHashes()
            let changed = now.count { hashes[$0.key] != $0.value }
            #expect(now.count == Self.count && (changed == 0 || changed == Self.count), "\(changed)")
            hashes = now
            _ = try await round()
        }
        // Nothing of those that were killed is in the next one's way.
        let last = try ingest(url, round: 9, isAnew: isAnew, folder)
        let end: Int32 = try await TestSupport.eventually("the last ingest", within: .seconds(300)) { try endOf(last) }
        #expect(end == 0, "\(folder.read("ingest-9.log"))")
        try await eventually { try await round() == 9 }
    }
}
