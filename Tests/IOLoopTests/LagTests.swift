import Glibc
import IOLoop
import Synchronization
import Testing

private actor Busy {
    private let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    init(_ loop: IOLoop) { self.loop = loop }

    func work(microseconds: UInt32) { usleep(microseconds) }

    func workInATimer(microseconds: UInt32) async {
        await withCheckedContinuation { continuation in
            loop.schedule(after: .zero) {
                usleep(microseconds)
                continuation.resume()
            }
        }
    }
}

@Suite("The loop's lag") struct LagTests {
    @Test func aTurnThatTakesLongIsTold() async throws {
        let turns = Mutex<[Int64]>([])
        let loop = try IOLoop(name: "test") { turn in turns.withLock { $0.append(turn) } }
        defer { loop.stop() }
        let busy = Busy(loop)
        func longTurns() -> Int { turns.withLock { $0.count { $0 >= 50_000_000 } } }
        await busy.work(microseconds: 50_000)
        #expect(await eventually { longTurns() == 1 })
        await busy.workInATimer(microseconds: 50_000)
        #expect(await eventually { longTurns() == 2 })
        #expect(turns.withLock { $0.allSatisfy { $0 >= 0 } })
    }

    /// The wait for events is no lag.
    @Test func aLoopWithNothingToDoHasNone() async throws {
        let turns = Mutex<[Int64]>([])
        let loop = try IOLoop(name: "test") { turn in turns.withLock { $0.append(turn) } }
        defer { loop.stop() }
        try await Task.sleep(for: .milliseconds(500))
        await Busy(loop).work(microseconds: 1)
        // The first turn ended before the wait, the second began after it.
        #expect(await eventually { turns.withLock { $0.count >= 2 } })
        #expect(turns.withLock { $0.reduce(0, +) } < 500_000_000)
    }
}

private func eventually(_ condition: () -> Bool) async -> Bool {
    let end = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < end {
        if condition() { return true }
        try? await Task.sleep(for: .milliseconds(2))
    }
    return false
}
