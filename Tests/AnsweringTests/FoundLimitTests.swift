import PipelineTestKit
import Testing

@testable import Answering

/// `model.concurrency: auto` against models of models, in simulated time, with more jobs waiting than ever fit.
@Suite struct FoundLimitTests {
    /// How a server shares itself out.
    private enum Server {
        /// So many calls at once; the others wait for them.
        case slots(Int)
        /// All at once, each the more slowly: with this many it answers half of what it ever could.
        case shared(half: Double)
        /// As if each had it for itself.
        case boundless
    }

    private struct Course {
        var answered: [(at: Double, length: Double)] = []
        var limits: [Int] = []

        func rate(_ range: Range<Double>) -> Double {
            Double(answered.count { range.contains($0.at) }) / (range.upperBound - range.lowerBound)
        }
        func p99(_ range: Range<Double>) -> Double {
            let lengths = answered.filter { range.contains($0.at) }.map(\.length).sorted()
            return lengths.isEmpty ? .infinity : lengths[lengths.count * 99 / 100]
        }
    }

    private struct Call {
        let began: Double
        /// Seconds of the server's work that are left.
        var work: Double
    }

    /// - Parameters:
    ///   - spread: how far calls' lengths are apart, as a part of their mean.
    ///   - sick: when it takes ten times as long, and refuses whatever it cannot begin.
    private func run(
        _ server: Server, ceiling: Int, finds: Bool, seconds: Double, spread: Double = 0.5, demand: Int = .max,
        sick: Range<Double> = 0..<0, seed: UInt64 = 1
    ) -> Course {
        var gate = Gate(ceiling: ceiling, maxWait: .seconds(1_000_000), isPaced: false, findsLimit: finds)
        var random = SeededGenerator(seed: seed)
        var course = Course()
        var running: [Call] = []
        var (time, waiting, token) = (0.0, 0, 0 as UInt64)
        while time < seconds {
            // Somebody always waits.
            while waiting < 8, running.count + waiting < demand {
                token += 1
                if gate.enter(
                    Rank(priority: 4, deadline: .max, arrival: token), token: token, now: .seconds(time))
                {
                    running.append(Call(began: time, work: 1 + spread * Double.random(in: -1...1, using: &random)))
                } else {
                    waiting += 1
                }
            }
            let isSick = sick.contains(time)
            let worked: Int =
                switch server {
                case .slots(let slots): min(slots, running.count)
                case .shared, .boundless: running.count
                }
            var pace: Double =
                switch server {
                case .slots, .boundless: 1
                case .shared(let half): 1 / (1 + Double(running.count) / half)
                }
            if isSick { pace /= 10 }
            if isSick, running.count > worked {
                // What it cannot begin it refuses, after a moment.
                time += 0.005
                for place in 0..<worked { running[place].work -= 0.005 * pace }
                running.removeLast()
                gate.leave(.overloaded, now: .seconds(time))
            } else {
                guard let next = running[..<worked].map(\.work).min() else { break }
                let step = max(next / pace, 1e-6)
                time += step
                for place in 0..<worked { running[place].work -= step * pace }
                for place in (0..<worked).reversed() where running[place].work <= 1e-9 {
                    let length = time - running[place].began
                    course.answered.append((time, length))
                    running.remove(at: place)
                    gate.leave(.answered(after: .seconds(length)), now: .seconds(time))
                }
            }
            while gate.next(now: .seconds(time)) != nil {
                waiting -= 1
                running.append(Call(began: time, work: 1 + spread * Double.random(in: -1...1, using: &random)))
            }
            course.limits.append(gate.limit)
        }
        return course
    }

    @Test(arguments: [0.1, 0.9])
    func whatAServerTakesIsFound(spread: Double) {
        let best = run(.slots(64), ceiling: 64, finds: false, seconds: 150, spread: spread)
        let found = run(.slots(64), ceiling: 512, finds: true, seconds: 400, spread: spread)
        let (settled, all) = (250.0..<400, 50.0..<150)
        #expect(found.p99(settled) <= 1.3 * best.p99(all), "\(found.p99(settled)), best \(best.p99(all))")
        #expect(found.rate(settled) >= 0.9 * best.rate(all), "\(found.rate(settled)), best \(best.rate(all))")
    }

    /// Whose calls take the longer the more they are, and who answers more in all.
    @Test(arguments: [30, 1000] as [Double])
    func aHealthyServerIsNotThrottled(half: Double) {
        let best = run(.shared(half: half), ceiling: 128, finds: false, seconds: 100)
        let found = run(.shared(half: half), ceiling: 128, finds: true, seconds: 200)
        #expect(found.rate(0..<200) >= 0.9 * best.rate(0..<100), "\(found.rate(0..<200)) of \(best.rate(0..<100))")
    }

    @Test func whoHasNoLimitIsHardlyHeldUp() {
        #expect(run(.boundless, ceiling: 128, finds: true, seconds: 200).rate(100..<200) >= 0.93 * 128)
    }

    @Test func whatIsNotUsedIsNotChanged() {
        let idle = run(.slots(64), ceiling: 512, finds: true, seconds: 200, demand: 40)
        #expect(idle.limits.allSatisfy { $0 == 512 })
        let fixed = run(.slots(64), ceiling: 512, finds: false, seconds: 50)
        #expect(fixed.limits.allSatisfy { $0 == 512 })
    }

    @Test(arguments: [true, false]) func aServerThatWasSlowIsSoonAskedAsBefore(finds: Bool) {
        let course = run(
            .slots(64), ceiling: finds ? 512 : 64, finds: finds, seconds: 400, sick: 300..<320)
        let (before, after) = (course.rate(250..<300), course.rate(330..<340))
        #expect(after >= 0.9 * before, "\(after) of \(before)")
    }

    /// It grew: what was found before is not believed for ever.
    @Test func moreIsFoundWhenTheServerTakesMore() {
        var limit = FoundLimit(ceiling: 512)
        func pass(_ rounds: Int, slots: Int, from start: Duration) -> Duration {
            var now = start
            for _ in 0..<rounds {
                for _ in 0..<max(2 * limit.limit, 200) {
                    now += .seconds(1 / Double(min(slots, limit.limit)))
                    limit.answered(
                        after: .seconds(max(1, Double(limit.limit) / Double(slots))), isUsed: true, now: now)
                }
            }
            return now
        }
        let then = pass(60, slots: 64, from: .zero)
        #expect((50...84).contains(limit.limit), "\(limit.limit)")
        _ = pass(60, slots: 256, from: then)
        #expect((200...330).contains(limit.limit), "\(limit.limit)")
    }
}
