import ChatJobs
import PipelineTestKit
import Testing

@testable import Pipeline

/// How much of a worker one tenant may have.
@Suite struct TenantShareTests {
    @Test func aTenantHasItsOwnCeilingOrEverybodys() {
        let ceiling = TenantCeiling(everybody: 2, own: ["large": 9])
        #expect(ceiling.of("small") == 2 && ceiling.of("large") == 9 && ceiling.of(nil) == 2)
        #expect(TenantCeiling().of("small") == nil && TenantCeiling(own: ["large": 9]).of(nil) == nil)
    }

    @Test func whoIsAtTheCeilingWaitsAndOthersDoNot() {
        var shares = TenantShares(TenantCeiling(everybody: 2))
        for _ in 0..<2 {
            #expect(shares.wait("a", now: .zero) == nil)
            shares.begin("a")
        }
        #expect(shares.wait("a", now: .zero) == .seconds(1))
        #expect(shares.wait("b", now: .zero) == nil && shares.wait(nil, now: .zero) == nil)
        shares.end("a")
        #expect(shares.wait("a", now: .zero) == nil)
        // One that never began here ends nobody's.
        shares.end("b")
        shares.begin("b")
        #expect(shares.wait("b", now: .zero) == nil)
    }

    @Test func theMoreWaitTheLongerEachOfThemDoesAndNoneForLong() {
        var shares = TenantShares(TenantCeiling(everybody: 2))
        for _ in 0..<2 { shares.begin("a") }
        let waits = (0..<200).map { _ in shares.wait("a", now: .zero) }
        #expect(waits[0] == .seconds(1) && waits[2] == .seconds(2) && waits[199] == TenantShares.longest)
        #expect(zip(waits, waits.dropFirst()).allSatisfy { ($0 ?? .zero) <= ($1 ?? .zero) })
        #expect(shares.wait("a", now: .seconds(31)) == .seconds(1), "a new count")
    }

    @Test func namesOfTenantsDoNotFillTheMemory() {
        var shares = TenantShares(TenantCeiling(everybody: 1))
        for number in 0..<3000 {
            shares.begin("t\(number)")
            #expect(shares.wait("t\(number)", now: .milliseconds(number)) != nil)
        }
    }

    @Test func chunksAboveTheRateWaitForOneAndTheLastOneForNone() throws {
        var rates = ChunkRates(TenantCeiling(everybody: 4))
        for _ in 0..<4 { #expect(rates.take("a", now: .zero) == nil) }
        let next = rates.take("a", now: .zero)
        let wait = try #require(next)
        #expect(wait == .milliseconds(250))
        #expect(rates.take("b", now: .zero) == nil)
        #expect(rates.take("a", now: wait) == nil)
        #expect(rates.take("a", now: wait, mustPass: true) == nil)
        // The one that did not wait is made up for.
        #expect(rates.take("a", now: wait) == .milliseconds(500))
        #expect(rates.take("a", now: .seconds(60)) == nil)
        for number in 0..<100_000 { #expect(rates.take("x", now: .seconds(61), mustPass: number >= 0) == nil) }
        let indebted = rates.take("x", now: .seconds(61))
        #expect(try #require(indebted) <= .milliseconds(1250), "a second's debt at most")
        var none = ChunkRates(TenantCeiling())
        for _ in 0..<100 { #expect(none.take("a", now: .zero) == nil) }
    }

    // MARK: - In a worker

    private func tenants(_ count: Int) throws -> [SimulatedMessage] {
        try (0..<count).map { number in
            SimulatedMessage(
                number: number, try job("j\(number)") { $0.tenant = number % 2 == 0 ? "greedy" : "modest" })
        }
    }

    @Test func noTenantHasMoreInWorkThanItMayAndAllAreAnswered() throws {
        var configuration = PipelineConfiguration()
        configuration.inFlight = TenantCeiling(everybody: 3, own: ["modest": 20])
        let bench = Workbench(configuration)
        let messages = try tenants(24)
        bench.run { await $0.broker.publish(messages) }
        #expect(bench.replies.count == 24 && bench.replies.allSatisfy { $0.status == .succeeded })
        #expect(bench.model.mostRunning <= 3 + 12)
        // All of the modest one's are asked at once, before the greedy one's fourth.
        let first = Set(bench.model.calls.prefix(15).map(\.text))
        #expect((0..<12).allSatisfy { first.contains("j\(2 * $0 + 1)") })
    }

    @Test func withoutTenantsAllJobsAreOnes() throws {
        var configuration = PipelineConfiguration()
        configuration.inFlight = TenantCeiling(everybody: 2)
        let bench = Workbench(configuration)
        let messages = try (0..<7).map { SimulatedMessage(number: $0, try job("j\($0)")) }
        bench.run { await $0.broker.publish(messages) }
        #expect(bench.model.mostRunning == 2 && bench.replies.count == 7)
    }

    @Test func aJobThatWaitsForRoomUntilItsDeadlineExpires() throws {
        var configuration = PipelineConfiguration()
        configuration.inFlight = TenantCeiling(everybody: 1)
        var latencies = Latencies.constant
        latencies.model = .seconds(5) ... .seconds(5)
        let bench = Workbench(configuration, latencies: latencies)
        let messages = [
            SimulatedMessage(number: 0, try job("long"), priority: 9),
            SimulatedMessage(number: 1, try job("short") { $0.deadline = later(2000) }),
        ]
        bench.run { await $0.broker.publish(messages) }
        #expect(bench.replies.map(\.status).contains(.expired) && bench.model.calls.map(\.text) == ["long"])
    }

    @Test func chunksBeyondTheRateBecomeLargerAndNoneIsMissing() throws {
        let free = Workbench()
        free.answer(SimulatedMessage(number: 0, try job("a") { $0.stream = true }))
        var configuration = PipelineConfiguration()
        configuration.chunksPerSecond = TenantCeiling(everybody: 1)
        let bench = Workbench(configuration)
        bench.answer(SimulatedMessage(number: 0, try job("a") { $0.stream = true }))
        let chunks = try bench.ledger.replies.dropLast().map { try Chunk(decoding: $0.body) }
        #expect(chunks.count == 2, "the first, and what is left at the end")
        #expect(chunks.count < free.ledger.replies.count - 1)
        #expect(chunks.map(\.seq) == [0, 1])
        #expect(chunks.map(\.delta).joined() == bench.replies.first?.answer)
    }

    @Test func aStreamThatIsFlushedSeldomHasFewerChunksAndTheFirstAtOnce() throws {
        let free = Workbench()
        free.answer(SimulatedMessage(number: 0, try job("a") { $0.stream = true }))
        var configuration = PipelineConfiguration()
        configuration.flush = .seconds(3600)
        let bench = Workbench(configuration)
        bench.answer(SimulatedMessage(number: 0, try job("a") { $0.stream = true }))
        let chunks = try bench.ledger.replies.dropLast().map { try Chunk(decoding: $0.body) }
        #expect(chunks.map(\.seq) == [0, 1], "the first, and what is left at the end")
        #expect(chunks.count < free.ledger.replies.count - 1)
        #expect(chunks.map(\.delta).joined() == bench.replies.first?.answer)
    }
}
