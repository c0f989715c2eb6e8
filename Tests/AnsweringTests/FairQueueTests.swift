import Testing

@testable import Answering

/// Tenants take turns behind priorities.
@Suite struct FairQueueTests {
    private func made(_ jobs: [(String?, Int, Int)], _ weights: [String: Int] = [:]) -> FairQueue {
        var queue = FairQueue(weights: weights)
        for (place, (tenant, priority, cost)) in jobs.enumerated() {
            let rank = Rank(priority: priority, deadline: .max, arrival: UInt64(place))
            queue.insert(.init(rank: rank, token: UInt64(place), share: .init(tenant: tenant, cost: cost)))
        }
        return queue
    }

    private func tenants(_ queue: FairQueue, first count: Int) -> [String] {
        var queue = queue
        return (0..<count).compactMap { _ in queue.popNext { _ in true }.map { $0.share.tenant ?? "-" } }
    }

    @Test func aloneATenantHasTheOrderOfRanks() {
        var queue = made([(nil, 4, 500), (nil, 9, 5000), (nil, 4, 1)])
        #expect((0..<4).map { _ in queue.popNext { _ in true }?.token } == [1, 0, 2, nil])
    }

    @Test func whoFloodsWaitsForTheOthers() {
        let jobs: [(String?, Int, Int)] = (0..<1010).map { ($0 < 1000 ? "flood" : "calm", 4, 500) }
        let first = tenants(made(jobs), first: 24)
        #expect(first.count { $0 == "calm" } == 10)
    }

    @Test func weightsAndCostsCount() {
        let jobs: [(String?, Int, Int)] = (0..<600).map { (["a", "b"][$0 % 2], 4, 500) }
        let weighted = tenants(made(jobs, ["a": 3]), first: 200)
        #expect((140...160).contains(weighted.count { $0 == "a" }))
        let dear: [(String?, Int, Int)] = (0..<600).map { $0 % 2 == 0 ? ("a", 4, 3000) : ("b", 4, 1000) }
        let first = tenants(made(dear), first: 200)
        #expect((40...60).contains(first.count { $0 == "a" }))
    }

    @Test func prioritiesGoBeforeTurns() {
        let jobs: [(String?, Int, Int)] = [("a", 0, 1), ("a", 9, 1), ("b", 4, 1), ("a", 9, 1)]
        #expect(tenants(made(jobs), first: 4) == ["a", "a", "b", "a"])
    }

    @Test func whatIsPutBackHasNotCounted() {
        var queue = made([("a", 4, 900), ("b", 4, 900), ("a", 4, 900), ("b", 4, 900)])
        var order: [String] = []
        for round in 0..<5 {
            guard let entry = queue.popNext(where: { _ in true }) else { break }
            if round == 0 { queue.putBack(entry) } else { order.append(entry.share.tenant ?? "-") }
        }
        #expect(order == ["a", "b", "a", "b"])
    }

    @Test func whoIsGoneIsPassedOver() {
        var queue = made([("a", 4, 1), ("b", 4, 1), ("a", 9, 1)])
        #expect(queue.popNext { $0 == 1 }?.token == 1)
        #expect(queue.popNext { _ in true } == nil)
    }

    @Test func aHugeJobIsNotWaitedForForEver() {
        let jobs: [(String?, Int, Int)] = [("a", 4, .max), ("b", 4, .max)]
        #expect(tenants(made(jobs), first: 2).count == 2)
    }
}
