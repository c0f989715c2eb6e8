import Testing

@testable import ParleyRedis

@Suite struct RedisConnectionMachineTests {
    typealias Machine = RedisConnectionMachine<String>
    typealias Endpoint = RedisConfiguration.Endpoint

    private static let start = ContinuousClock.now
    private let start = RedisConnectionMachineTests.start
    private let here = Endpoint(host: "127.0.0.1", port: 6379)
    private let refused = RedisError(.unreachable, "refused")
    private let broken = RedisError(.connectionLost, "broken pipe")

    private func machine(_ endpoints: [Endpoint] = []) -> Machine {
        var configuration = RedisConfiguration()
        if !endpoints.isEmpty { configuration.endpoints = endpoints }
        return Machine(configuration, jitter: { 1 })
    }

    /// A machine whose connection "c" is ready.
    private func readyMachine() -> Machine {
        var machine = machine()
        _ = machine.wanted()
        _ = machine.opened("c", at: here, attempt: 1)
        _ = machine.greeted([.status("PONG")], now: start)
        return machine
    }

    @Test func aServerThatAnswersIsServedFrom() {
        var machine = machine()
        #expect(machine.serving == nil)
        #expect(machine.wanted() == [.open(here, attempt: 1)])
        #expect(machine.wanted() == [], "it is on its way")
        #expect(machine.opened("c", at: here, attempt: 1) == [.greet("c")])
        #expect(machine.connection == "c")
        #expect(machine.serving == nil, "it may be a server that will not do")
        #expect(
            machine.greeted([.status("PONG")], now: start) == [
                .report(.connected(here, outage: nil)), .settle(.attempt, nil), .settle(.readiness, nil),
            ])
        #expect(machine.serving == "c")
        #expect(machine.wanted() == [])
    }

    @Test func anAttemptThatFailsIsMadeAgainAfterARest() {
        var machine = machine()
        _ = machine.wanted()
        var attempt = 1
        for round in 0..<10 {
            let wait = min(Duration.milliseconds(50 << round), .seconds(5))
            // News are the first failure, and the eighth in a row.
            let report = Machine.Report.noConnection(refused, nextIn: wait, isNews: round == 0 || round == 7)
            #expect(
                machine.openingFailed(refused, attempt: attempt, now: start) == [
                    .rest(wait, attempt: attempt + 1), .report(report), .settle(.attempt, refused),
                ])
            #expect(machine.refusal.message.hasSuffix(": refused"))
            #expect(machine.rested(attempt: attempt) == [], "that rest is long over")
            #expect(machine.rested(attempt: attempt + 1) == [.open(here, attempt: attempt + 2)])
            attempt += 2
        }
        _ = machine.opened("c", at: here, attempt: attempt)
        let back = machine.greeted([.status("PONG")], now: start + .seconds(7))
        #expect(back.first == .report(.connected(here, outage: .seconds(7))))
    }

    @Test func anotherReasonIsNews() {
        var machine = machine()
        _ = machine.wanted()
        var news: [Bool] = []
        var attempt = 1
        for code in [RedisError.Code.unreachable, .unreachable, .timedOut, .timedOut, .unreachable] {
            for action in machine.openingFailed(RedisError(code, ""), attempt: attempt, now: start) {
                if case .report(.noConnection(_, _, let isNews)) = action { news.append(isNews) }
            }
            _ = machine.rested(attempt: attempt + 1)
            attempt += 2
        }
        #expect(news == [true, false, true, false, true])
    }

    @Test(arguments: [RedisError.Code.authenticationFailed, .invalidConfiguration])
    func whatAHumanMustSetRightIsNotTriedAgainAtOnce(code: RedisError.Code) {
        var machine = machine()
        _ = machine.wanted()
        #expect(
            machine.openingFailed(RedisError(code, ""), attempt: 1, now: start).first == .rest(.seconds(5), attempt: 2))
    }

    @Test func whatComesTooLateChangesNothing() {
        var machine = machine()
        _ = machine.wanted()
        let expired = machine.openingExpired(attempt: 1, now: start)
        #expect(expired.first == .rest(.milliseconds(50), attempt: 2))
        // The thread comes back after all, from an attempt that is over.
        #expect(machine.openingFailed(refused, attempt: 1, now: start) == [])
        #expect(machine.openingExpired(attempt: 1, now: start) == [])
        #expect(machine.opened("late", at: here, attempt: 1).map(\.closes) == ["late"])
        #expect(machine.connection == nil)
        #expect(machine.greeted([.status("PONG")], now: start) == [])
        #expect(machine.lost(broken, now: start) == [])
        #expect(machine.drained(now: start) == [])
        #expect(machine.rested(attempt: 2) == [.open(here, attempt: 3)])
        #expect(machine.rested(attempt: 2) == [])
    }

    @Test func addressesAreTriedInTurnBeginningWithTheOneThatServedLast() {
        let (a, b) = (Endpoint(host: "a", port: 1), Endpoint(host: "b", port: 2))
        var machine = machine([a, b])
        #expect(machine.wanted() == [.open(a, attempt: 1)])
        #expect(
            machine.openingFailed(refused, attempt: 1, now: start) == [
                .report(.addressFailed(refused)), .open(b, attempt: 2),
            ])
        _ = machine.opened("b1", at: b, attempt: 2)
        let roles = RedisValue.array([.bytes(Array("master".utf8)), .integer(0), .array([])])
        #expect(machine.greeted([roles, .status("PONG")], now: start).first == .report(.connected(b, outage: nil)))
        _ = machine.lost(broken, now: start)
        #expect(machine.rested(attempt: 3) == [.open(b, attempt: 4)])
        // What must be set right outweighs what may pass, and all reasons are told.
        let wrong = RedisError(.authenticationFailed, "wrong password")
        _ = machine.openingFailed(refused, attempt: 4, now: start)
        guard case .settle(.attempt, let error)? = machine.openingFailed(wrong, attempt: 5, now: start).last else {
            Issue.record("nobody is told")
            return
        }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.message.hasSuffix("refused; wrong password") == true)
    }

    @Test func aServerThatWillNotDoIsLeft() {
        var machine = machine()
        _ = machine.wanted()
        _ = machine.opened("c", at: here, attempt: 1)
        let actions = machine.greeted([.error("NOAUTH Authentication required.")], now: start)
        #expect(actions.map(\.closes) == ["c", nil, nil, nil])
        guard case .settle(.attempt, let error)? = actions.last else {
            Issue.record("nobody is told")
            return
        }
        #expect(error?.code == .authenticationFailed)
        #expect(machine.connection == nil)
    }

    @Test func whatTheServerSaidBeforeItHungUpIsTheReason() {
        for (heard, code, text) in [
            ([RedisValue.error("ERR max number of clients reached")], RedisError.Code.unreachable, "max number"),
            ([], .unreachable, "hung up at the greeting: broken pipe"),
        ] {
            var machine = machine()
            _ = machine.wanted()
            _ = machine.opened("c", at: here, attempt: 1)
            let actions = machine.lost(broken, heard: heard, now: start)
            #expect(actions.first == .close("c", because: broken))
            guard case .settle(.attempt, let error)? = actions.last else {
                Issue.record("nobody is told")
                return
            }
            #expect(error?.code == code)
            #expect(error?.message.contains(text) == true)
        }
    }

    @Test func aConnectionThatIsLostIsMadeAnew() {
        var machine = readyMachine()
        machine.answered(.status("OK"))
        #expect(
            machine.lost(broken, now: start) == [
                .close("c", because: broken), .rest(.milliseconds(50), attempt: 2), .report(.lost(broken)),
            ])
        #expect(machine.serving == nil)
        #expect(machine.lost(broken, now: start) == [], "it is lost already")
        _ = machine.rested(attempt: 2)
        _ = machine.opened("d", at: here, attempt: 3)
        _ = machine.greeted([.status("PONG")], now: start + .seconds(1))
        #expect(machine.serving == "d")
        // Connections that never served anybody are made ever more slowly.
        #expect(machine.lost(broken, now: start).dropFirst().first == .rest(.milliseconds(100), attempt: 4))
    }

    @Test(arguments: ["READONLY You can't write", "ERR Error running script: -READONLY You can't", "MASTERDOWN Link"])
    func aReplicaIsLeftWhenItsRepliesAreIn(text: String) {
        var machine = readyMachine()
        machine.answered(.status("OK"))
        #expect(machine.drained(now: start) == [])
        machine.answered(.error(text))
        #expect(machine.serving == nil, "what is sent now would fail")
        #expect(machine.connection == "c", "others still wait for replies")
        let actions = machine.drained(now: start)
        #expect(actions.map(\.closes) == ["c", nil, nil])
        #expect(actions[1] == .rest(.milliseconds(800), attempt: 2), "a failover takes its time")
    }

    @Test func anotherErrorIsTheCallersAlone() {
        var machine = readyMachine()
        for text in [
            "ERR syntax error", "OOM command not allowed", "LOADING", "MISCONF Errors", "NOAUTH", "MOVED 1 a:1",
        ] {
            machine.answered(.error(text))
            #expect(machine.serving == "c")
            #expect(machine.drained(now: start) == [])
        }
    }

    @Test func closedItStaysClosed() {
        var machines = [machine(), machine(), machine(), readyMachine(), readyMachine()]
        _ = machines[1].wanted()
        _ = machines[2].wanted()
        _ = machines[2].opened("c", at: here, attempt: 1)
        _ = machines[4].lost(broken, now: start)
        for (index, var machine) in machines.enumerated() {
            let hadConnection = machine.connection != nil
            #expect(machine.closed().count == (hadConnection ? 3 : 2), "\(index)")
            #expect(machine.isClosed && machine.connection == nil)
            for attempt in 1...3 {
                #expect(machine.wanted() + machine.rested(attempt: attempt) + machine.closed() == [])
                #expect(machine.openingFailed(refused, attempt: attempt, now: start) == [])
                #expect(machine.opened("late", at: here, attempt: attempt).map(\.closes) == ["late"])
            }
            #expect(machine.refusal.message.hasSuffix("is closed"))
        }
    }

    @Test func whateverHappensEveryConnectionIsClosedOnceAndTheClientGoesOn() {
        var random = Numbers(seed: 7)
        for _ in 0..<300 {
            var machine = machine(
                [here, Endpoint(host: "b", port: 1)].shuffled(using: &random).dropLast(
                    Int.random(in: 0...1, using: &random)))
            var world = World()
            world.take(machine.wanted(), machine)
            for _ in 0..<200 { world.take(step(&machine, &world, &random), machine) }
            world.take(machine.closed(), machine)
            #expect(world.open.isEmpty)
        }
    }

    /// Something that can happen, at its time or too late.
    private func step(_ machine: inout Machine, _ world: inout World, _ random: inout Numbers) -> [Machine.Action] {
        let attempt = max(1, world.attempt - Int.random(in: 0...2, using: &random))
        switch Int.random(in: 0...9, using: &random) {
        case 0...1:
            world.made += 1
            world.open.insert("c\(world.made)")
            return machine.opened("c\(world.made)", at: here, attempt: attempt)
        case 2: return machine.openingFailed(refused, attempt: attempt, now: start)
        case 3: return machine.openingExpired(attempt: attempt, now: start)
        case 4: return machine.rested(attempt: attempt)
        case 5:
            let master = RedisValue.array([.bytes(Array("master".utf8))])
            let pong = RedisValue.status("PONG")
            let replies = machine.configuration.seeksPrimary ? [master, pong] : [pong]
            return machine.greeted(Bool.random(using: &random) ? replies : [.error("LOADING")], now: start)
        case 6: return machine.lost(broken, heard: [.error("ERR")], now: start)
        case 7:
            machine.answered(Bool.random(using: &random) ? .status("OK") : .error("READONLY"))
            return []
        case 8: return machine.drained(now: start)
        default: return machine.wanted()
        }
    }

    /// Checks that what is asked for is legal.
    private struct World {
        var made = 0
        var attempt = 0
        var open: Set<String> = []

        mutating func take(_ actions: [Machine.Action], _ machine: Machine) {
            for action in actions {
                switch action {
                case .open(_, let number), .rest(_, let number):
                    #expect(number > attempt)
                    attempt = number
                case .greet(let connection): #expect(open.contains(connection))
                case .close(let connection, _): #expect(open.remove(connection) != nil, "closed twice")
                case .report, .settle: break
                }
            }
            #expect(open == Set([machine.connection].compactMap { $0 }), "none is forgotten")
        }
    }
}

extension RedisConnectionMachine.Action where Connection == String {
    /// The connection that is closed.
    fileprivate var closes: String? { if case .close(let connection, _) = self { connection } else { nil } }
}

/// SplitMix64.
private struct Numbers: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
