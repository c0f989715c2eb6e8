import ParleyPrimitives
import Testing

@testable import Answering

/// A model with 64 places and a backlog that keeps them taken, played through in simulated time.
@Suite struct CallPaceTests {
    private struct Model {
        var gate = Gate(ceiling: 64, maxWait: .seconds(3600))
        var now = Duration.zero
        var ends: [(at: Duration, length: Duration)] = []
        var answered = 0
        var lengths: () -> Duration
        private var token: UInt64 = 0

        init(lengths: @escaping () -> Duration) { self.lengths = lengths }

        private mutating func begin() {
            let length = lengths()
            ends.append((now + length, length))
        }

        /// - Returns: whether it started at once.
        mutating func add(priority: Int) -> Bool {
            token += 1
            let rank = Rank(priority: priority, deadline: .max, arrival: token)
            let isStarted = gate.enter(rank, token: token, now: now)
            if isStarted { begin() }
            return isStarted
        }

        /// Goes on to the next moment at which something happens, and lets calls start; the tokens of those that did.
        mutating func step() -> [UInt64] {
            let next = ends.indices.min { ends[$0].at < ends[$1].at }
            let held = gate.hold(now: now).map { now + $0 }
            if let next, held.map({ ends[next].at <= $0 }) ?? true {
                let (at, length) = ends.remove(at: next)
                now = max(now, at)
                answered += 1
                gate.leave(.answered(after: length), now: now)
            } else if let held {
                now = held
            }
            var started: [UInt64] = []
            while let token = gate.next(now: now) {
                begin()
                started.append(token)
            }
            return started
        }

        /// How long each of `count` urgent jobs, one every 200 ms after the first round, waits for its place.
        mutating func urgentWaits(_ count: Int) -> [Duration] {
            for _ in 0..<20_000 { _ = add(priority: 0) }
            var waits: [Duration] = []
            var waiting: [UInt64: Duration] = [:]
            var due = Duration.seconds(2)
            while waits.count < count {
                for token in step() { if let since = waiting.removeValue(forKey: token) { waits.append(now - since) } }
                while due <= now, waiting.count + waits.count < count {
                    if add(priority: 9) { waits.append(.zero) } else { waiting[token] = due }
                    due += .milliseconds(200)
                }
            }
            return waits
        }
    }

    @Test func callsThatTakeTheSameTimeLeaveRoomForAnUrgentJobAtAnyMoment() {
        var model = Model { .milliseconds(800) }
        let waits = model.urgentWaits(200)
        #expect(waits.allSatisfy { $0 < .milliseconds(160) })
        // Of what the places can do, at most the round in which the calls were spread is missing.
        #expect(Double(model.answered) > model.now.milliseconds / 800 * 64 - 64)
    }

    @Test func callsWhoseLengthsVaryAreHardlyHeldBack() {
        var random = SystemRandomNumberGenerator()
        var total = 0.0
        var model = Model {
            let seconds = Double.random(in: 0.2...2, using: &random)
            total += seconds
            return .seconds(seconds)
        }
        _ = model.urgentWaits(200)
        let busy = total - model.ends.reduce(0) { $0 + ($1.at - model.now).milliseconds / 1000 }
        #expect(busy / 64 > 0.97 * model.now.milliseconds / 1000)
    }

    @Test func aModelThatIsNotBusyIsNeverHeldBack() {
        var model = Model { .milliseconds(800) }
        for _ in 0..<50 {
            for _ in 0..<63 {
                let isStarted = model.add(priority: 4)
                #expect(isStarted)
            }
            while !model.ends.isEmpty { _ = model.step() }
        }
    }
}
