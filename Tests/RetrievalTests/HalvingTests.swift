import Synchronization
import Testing

@testable import Retrieval

@Suite struct HalvingTests {
    /// Asks for `count` items of a service that refuses batches above `size` and those that hold one of `poison`.
    private func run(_ count: Int, limit: Int = .max, size: Int = .max, poison: Set<Int> = []) -> (
        calls: [Range<Int>], refused: [Int], limit: Int
    ) {
        var halving = Halving(count: count, limit: limit)
        var calls: [Range<Int>] = []
        var refused: [Int] = []
        while let range = halving.next() {
            calls.append(range)
            if range.count > size || poison.contains(where: range.contains) {
                if !halving.wasRefused(range) { refused.append(range.lowerBound) }
            } else {
                halving.wentThrough(range)
            }
        }
        return (calls, refused, halving.limit)
    }

    @Test func whatIsTakenIsAskedOnce() {
        #expect(run(64).calls == [0..<64])
        #expect(run(0).calls.isEmpty)
        #expect(run(10, limit: 4).calls == [0..<4, 4..<8, 8..<10])
    }

    @Test(arguments: [0, 1, 31, 32, 63])
    func oneThatIsRefusedCostsAFewCallsMore(_ poison: Int) {
        let run = run(64, poison: [poison])
        #expect(run.refused == [poison])
        #expect(run.calls.count == 13)
        // It was not the size.
        #expect(run.limit == .max)
    }

    @Test func allThatAreRefusedAreFound() {
        #expect(run(16, poison: [3, 4, 15]).refused == [3, 4, 15])
        let all = run(8, poison: Set(0..<8))
        #expect(all.refused == Array(0..<8) && all.calls.count == 15)
    }

    @Test(arguments: [1, 7, 10, 16, 63])
    func aSizeThatIsRefusedIsNotTriedAgain(_ size: Int) {
        let run = run(64, size: size)
        #expect(run.refused.isEmpty)
        #expect(run.limit <= size && run.limit > size / 2)
        #expect(run.calls.filter { $0.count > size }.count <= 6)
        let served = run.calls.filter { $0.count <= size }
        #expect(served.flatMap { Array($0) } == Array(0..<64))
    }

    @Test func sizeAndPoisonAreToldApart() {
        let run = run(64, size: 10, poison: [5])
        #expect(run.refused == [5])
        #expect(run.limit == 8)
        #expect(run.calls.count <= 20)
    }

    @Test func nothingIsAskedAfterAnOutage() async throws {
        let calls = Mutex(0)
        let (results, _) = await inHalves(64, within: .seconds(60), part: .embedder) {
            range, _ throws(RetrievalError) -> [Int] in
            calls.withLock { $0 += 1 }
            if range.contains(0), range.count > 1 { throw RetrievalError(.rejected, "refused", status: 400) }
            if range.contains(2) { throw RetrievalError(.unreachable, "away") }
            return Array(range)
        }
        #expect(calls.withLock { $0 } == 9)
        #expect(try results[0].get() == 0)
        #expect(try results[1].get() == 1)
        for result in results[2...] {
            #expect(throws: RetrievalError(.unreachable, "away")) { try result.get() }
        }
    }

    @Test func theTimeIsForAllCallsTogether() async {
        let calls = Mutex<[Duration]>([])
        let (results, _) = await inHalves(64, within: .milliseconds(200), part: .embedder) {
            range, left throws(RetrievalError) -> [Int] in
            calls.withLock { $0.append(left) }
            // As slow as it may be, and then a refusal.
            try? await Task.sleep(for: min(left, .milliseconds(150)))
            throw RetrievalError(.rejected, "refused", status: 400)
        }
        let given = calls.withLock { $0 }
        #expect(given.count <= 3, "128 calls of their own time each is what it was")
        #expect(given == given.sorted(by: >))
        #expect(results.allSatisfy { if case .failure(let error) = $0 { error.code == .timedOut } else { false } })
    }

    @Test func whatWasLearnedOfTheSizeIsForgottenAfterAWhile() {
        var limit = BatchLimit(configured: 64)
        let now = ContinuousClock.now
        #expect(limit.size(at: now) == 64)
        limit.learn(8, at: now)
        #expect(limit.size(at: now + .seconds(599)) == 8)
        #expect(limit.size(at: now + .seconds(601)) == 64)
    }
}
