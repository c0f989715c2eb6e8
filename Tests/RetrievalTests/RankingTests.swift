import Testing

@testable import Retrieval

@Suite struct RankingTests {
    private func worded(_ list: [(Int, Float)]) -> [TermIndex.Found] {
        list.map { TermIndex.Found(index: $0.0, score: $0.1) }
    }

    @Test func whatBothListsHaveGoesFirst() {
        var ranking = Ranking()
        ranking.fuse([(1, 0.9), (2, 0.8), (3, 0.7)], worded([(4, 9), (3, 8)]), document: { $0 }, score: { _ in 0.1 })
        let best = ranking.best(10)
        #expect(best.map(\.index) == [3, 1, 4, 2])
        #expect(best.map(\.score) == [0.7, 0.9, 0.1, 0.8], "scores are the vectors'")
        #expect(ranking.best(2).count == 2 && ranking.best(-1).isEmpty)
    }

    @Test func aLikelyFolderRaisesAPassageThatKeepsItsScore() {
        var one = Ranking()
        one.take(worded: worded([(1, 0.5), (2, 0.4), (3, 0.1)]), document: { $0 })
        one.favour { $0 == 2 ? 0.6 : 0.2 }
        #expect(one.best(3).map(\.index) == [2, 1, 3] && one.best(1).first?.score == 0.4)
        var far = Ranking()
        far.take(worded: worded([(1, 0.5), (2, 0.4), (3, 0.1)]), document: { $0 })
        far.favour { $0 == 3 ? 1 : 0 }
        #expect(far.best(3).map(\.index) == [1, 2, 3], "a boost, not a filter")
        var fused = Ranking()
        fused.fuse([(1, 0.5), (2, 0.49)], [], document: { $0 }, score: { _ in 0 })
        fused.favour { $0 == 2 ? 1 : 0 }
        #expect(fused.best(2).map(\.index) == [2, 1])
    }

    @Test func whatADocumentsOtherPassageHasCountsALittle() {
        var ranking = Ranking()
        ranking.take(
            worded: worded([(1, 0.5), (2, 0.48), (3, 0.4), (4, 0.1)]), document: { $0 > 1 && $0 < 4 ? 2 : $0 })
        #expect(ranking.best(4).map(\.index) == [2, 1, 3, 4] && ranking.best(1).first?.score == 0.48)
        var fused = Ranking()
        fused.fuse([], worded([(1, 0.5), (2, 0.48), (3, 0.4)]), document: { $0 > 1 ? 2 : $0 }, score: { _ in 0 })
        #expect(fused.best(3).map(\.index) == [2, 1, 3])
    }

    @Test func aTitleThatTheQuestionSaysRaisesAPassage() {
        var ranking = Ranking()
        let found = [TermIndex.Found(index: 1, score: 0.5), TermIndex.Found(index: 2, score: 0.4, title: 0.5)]
        ranking.take(worded: found, document: { $0 })
        #expect(ranking.best(2).map(\.index) == [2, 1] && ranking.best(1).first?.score == 0.4)
    }

    /// Similarities of a model lie close together: with a boost of the scores the folder would decide alone.
    @Test func ofVectorsTheOrderCountsAlone() {
        var near = Ranking()
        near.take(near: (0..<40).map { ($0, 0.9 - Float($0) * 0.001) })
        near.favour { $0 >= 30 ? 1 : 0 }
        #expect(near.best(1).first?.index == 0)
        #expect((near.best(40).firstIndex { $0.index == 30 } ?? 0) > 5)
    }

    @Test func aFurtherPassageOfADocumentIsWorthLess() {
        var ranking = Ranking()
        ranking.take(worded: worded([(1, 0.5), (2, 0.49), (3, 0.45), (4, 0.1)]), document: { $0 })
        ranking.lowerRepeats { $0 < 3 ? 0 : $0 }
        #expect(ranking.best(4).map(\.index) == [1, 3, 2, 4] && ranking.best(3).last?.score == 0.49)
    }

    /// "blue" is near by its vector, "4711" by its words alone.
    @Test func aFileIndexFusesWordsAndVectors() async throws {
        let folder = try TemporaryFolder()
        let embedder = AxisEmbedder(axes: ["blue", "red"])
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let documents = [
            Document(id: "a/blue.md", title: "A", text: "blue blue"),
            Document(id: "b/part.md", title: "B", text: "number 4711 red"),
            Document(id: "c/red.md", title: "C", text: "red blue"),
        ]
        _ = try await Ingestor(embedder: embedder, store: store).ingest(documents)
        func found(_ question: String, _ change: (inout RetrievalOptions) -> Void = { _ in }) async throws -> [Match] {
            var options = RetrievalOptions()
            change(&options)
            return try await Retriever(embedder: embedder, store: store, options: options)
                .matches([question], topK: 3, timeout: .seconds(60)).first ?? []
        }
        let dense = try await found("blue 4711") { $0.isHybrid = false }
        #expect(dense.first?.passage.documentID == "a/blue.md" && dense.last?.passage.documentID == "b/part.md")
        let hybrid = try await found("blue 4711")
        #expect(hybrid.count == 3 && hybrid.last?.passage.documentID != "b/part.md")
        for match in hybrid { #expect(dense.contains { $0.passage == match.passage && $0.score == match.score }) }
        let favoured = try await found("blue red") { $0.folders = { _ in ["b": 1] } }
        #expect(favoured.first?.passage.documentID == "b/part.md")
        let good = try await found("blue 4711") { $0.minScore = 0.9 }
        #expect(good.map(\.passage.documentID) == ["a/blue.md"])
        let none = try await found("blue 4711") { $0.minScore = 1.1 }
        #expect(none.isEmpty)
    }

    @Test func withoutWordsTheOrderIsTheVectors() async throws {
        let folder = try TemporaryFolder()
        let embedder = AxisEmbedder(axes: ["blue", "red"])
        let store = FileStore(path: "\(folder.path)/k.index", indexesWords: false, logger: quiet)
        let documents = [
            Document(id: "blue.md", title: "A", text: "blue"),
            Document(id: "part.md", title: "B", text: "number 4711 red"),
        ]
        _ = try await Ingestor(embedder: embedder, store: store).ingest(documents)
        let found = try await Retriever(embedder: embedder, store: store)
            .matches(["blue 4711"], topK: 2, timeout: .seconds(60))
        #expect(found.first?.map(\.passage.documentID) == ["blue.md", "part.md"])
    }
}
