import ChatJobs
import ParleyRabbitMQ
import Testing

@testable import Topology

@Suite("Delays and lanes in numbers")
struct NamesTests {
    static let delays: [(Duration, Int)] = [
        (.zero, 1), (.seconds(-5), 1), (.milliseconds(1), 1), (.milliseconds(125), 1), (.nanoseconds(125_000_001), 2),
        (.milliseconds(250), 2), (.seconds(1), 8), (.milliseconds(1400), 12), (.seconds(3), 24),
        (.seconds(31_536_000), 252_288_000), (.seconds(34_560_000), 268_435_455),
        (.seconds(Int64.max), 268_435_455),
    ]

    @Test("a delay is rounded up to 125 ms, at least one step, at most the ladder's sum", arguments: delays)
    func steps(delay: Duration, steps: Int) {
        #expect(DelayLadder.steps(delay) == steps)
        let ladder = DelayLadder(base: "b", kind: .classic)
        let words = ladder.routingKey(to: "to.me", after: delay).split(separator: ".")
        #expect(words.count == DelayLadder.levels + 2)
        #expect(Int(words.prefix(DelayLadder.levels).joined(), radix: 2) == steps)
        #expect(words.suffix(2) == ["to", "me"])
    }

    @Test("the longest name fits a routing key with all its digits, one byte more is refused")
    func longestName() {
        let name = String(repeating: "n", count: DelayLadder.maxQueueName)
        #expect(DelayLadder.maxQueueName == 199)
        #expect(DelayLadder.problem(with: name) == nil)
        #expect(DelayLadder(base: "b", kind: .classic).routingKey(to: name, after: .seconds(1)).utf8.count == 255)
        #expect(DelayLadder.problem(with: name + "n") != nil)
        #expect(DelayLadder.problem(with: "") != nil)
        #expect(DelayLadder.problem(with: "jobs.#") != nil)
        #expect(DelayLadder.problem(with: "jobs.*.x") != nil)
        #expect(DelayLadder.problem(with: "jobs#.*x") == nil)
    }

    @Test("a lane may not have the name of another queue of Parley's", arguments: ["dead", "delay", "delay.3", "#"])
    func laneNames(lane: String) {
        #expect(!JobQueues(base: "b", lanes: [.init(name: lane)], kind: .classic).problems.isEmpty)
        #expect(JobQueues(base: "b", lanes: [.init(name: "x" + lane)], kind: .classic).problems.isEmpty)
    }

    @Test(
        "a prefetch is shared out by weight, all of it, and nobody goes empty",
        arguments: [
            (512, [1, 8, 1], [51, 410, 51]), (10, [1, 8, 1], [1, 8, 1]), (512, [1], [512]), (7, [1, 1, 1], [3, 2, 2]),
            (3, [1, 1000, 1], [1, 1, 1]), (4, [1, 1000, 1], [1, 2, 1]), (2, [1, 8, 1], [1, 1, 1]),
            (0, [1, 1], [1, 1]),
            (100, [1, 1000, 500], [1, 66, 33]),
        ])
    func shares(total: Int, weights: [Int], shares: [Int]) {
        #expect(JobQueues.shares(of: total, weights: weights) == shares)
    }

    @Test("every split sums up to the prefetch")
    func sums() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let weights = (0..<Int.random(in: 1...6, using: &random)).map { _ in Int.random(in: 1...1000) }
            let total = Int.random(in: 0...2000)
            let shares = JobQueues.shares(of: total, weights: weights)
            #expect(shares.reduce(0, +) == max(total, weights.count), "\(total) by \(weights)")
            #expect(shares.allSatisfy { $0 >= 1 })
        }
    }

    @Test("a worker's queues are the base queue and its lanes, each with its share")
    func consumed() {
        let queues = JobQueues(
            base: "chat.jobs", lanes: [.init(name: "high", weight: 8), .init(name: "bulk", weight: 1)], kind: .classic)
        #expect(
            queues.consumed(prefetch: 512) == [
                ConsumedQueue(name: "chat.jobs", prefetch: 51), ConsumedQueue(name: "chat.jobs.high", prefetch: 410),
                ConsumedQueue(name: "chat.jobs.bulk", prefetch: 51),
            ])
        #expect(
            JobQueues(base: "b", kind: .classic).consumed(prefetch: 100_000) == [.init(name: "b", prefetch: 65_535)])
    }

    @Test("what must not be lost survives when a producer's headers have to go, unless it is long itself")
    func ownHeaders() {
        var headers: FieldTable = ["traceparent": "00-1-2-01", "x-parley-retries": 3, "mine": "x"]
        headers["x-parley-requeues"] = .string(String(repeating: "9", count: 100_000))
        #expect(MessageHeaders.own(headers) == ["x-parley-retries": 3, "traceparent": "00-1-2-01"])
    }
}
