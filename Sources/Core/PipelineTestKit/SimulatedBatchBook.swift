import Answering
import ChatJobs
import Pipeline
import Synchronization

/// What workers know of batches, as Redis would keep it: it can be away, and an answer can be lost on the way back.
package final class SimulatedBatchBook: Sendable {
    private struct State {
        var names: [String: (batch: String, number: Int)] = [:]
        var states: [String: BatchState] = [:]
        var drafts: [String: BatchDraft] = [:]
        var lines: [String: [UInt8]] = [:]
        var payers: [String: String] = [:]
        var leases: [String: Duration] = [:]
        var turns: [String: Duration] = [:]
        var strays: [(batch: String, at: Timestamp)] = []
        var lives: [String: ProcessLife] = [:]
        var awayUntil = Duration.zero
    }

    private let state = Mutex(State())
    private let executor: SimulatedExecutor
    private let latencies: Latencies

    init(executor: SimulatedExecutor, latencies: Latencies) {
        self.executor = executor
        self.latencies = latencies
    }

    func goAway(for duration: Duration) {
        let until = executor.now + duration
        state.withLock { $0.awayUntil = max($0.awayUntil, until) }
    }

    func of(_ worker: Int, _ life: ProcessLife) -> any BatchRecords {
        state.withLock { $0.lives["w\(worker)"] = life }
        return Page(worker: "w\(worker)", book: self, life: life)
    }

    private func perform<T: Sendable>(
        _ life: ProcessLife, _ effect: @Sendable (inout State, _ now: Duration) -> T
    ) async throws(Outage) -> T {
        await executor.sleep(executor.draw(latencies.store))
        let now = executor.now
        let result = state.withLock { state -> T? in
            now < state.awayUntil || !life.isAlive ? nil : effect(&state, now)
        }
        await executor.sleep(executor.draw(latencies.store))
        let isLost = state.withLock { $0.awayUntil > executor.now }
        guard let result, !isLost, life.isAlive else { throw Outage(.redis, "away") }
        return result
    }

    private struct Page: BatchRecords {
        let worker: String
        let book: SimulatedBatchBook
        let life: ProcessLife

        func look(for names: [String], payer: String) async throws(Outage) -> BatchEntry? {
            try await book.perform(life) { state, now in
                for (place, name) in names.enumerated() {
                    guard let found = state.names[name], let batch = state.states[found.batch] else { continue }
                    let item = "\(found.batch) \(found.number)"
                    let line = state.lines[item]
                    guard place == 0 || line == nil || state.payers[item] == nil else { continue }
                    state.names[names[0]] = found
                    if line != nil, state.payers[item] == nil { state.payers[item] = payer }
                    let maker: String? =
                        switch batch {
                        case .uploading(let worker), .creating(let worker): worker
                        case .created, .ended, .cutShort: nil
                        }
                    let isOver = maker.flatMap { state.lives[$0] }?.isOver(
                        at: now, noticedAfter: SimulatedStore.presence)
                    return BatchEntry(
                        batch: found.batch, state: batch, draft: state.drafts[item] ?? BatchDraft(), line: line,
                        pays: state.payers[item] == payer, isMakerAlive: isOver == false,
                        isLeased: state.leases[found.batch].map { $0 > now } ?? false)
                }
                return nil
            }
        }

        func begin(_ batch: String, _ items: [(names: [String], draft: BatchDraft)]) async throws(Outage) -> [Bool] {
            let worker = worker
            return try await book.perform(life) { state, now in
                state.states[batch] = .uploading(worker: worker)
                state.leases[batch] = now + BatchOffice.uploadLease
                return items.enumerated().map { number, item in
                    let isTaken = item.names.contains { state.names[$0].map { state.states[$0.batch] != nil } ?? false }
                    guard !isTaken else { return false }
                    for name in item.names { state.names[name] = (batch, number) }
                    state.drafts["\(batch) \(number)"] = item.draft
                    return true
                }
            }
        }

        func move(
            _ batch: String, from old: BatchState, to new: BatchState?, lease: Duration?
        ) async throws(Outage) -> Bool {
            try await book.perform(life) { state, now in
                guard state.states[batch] == old else { return false }
                state.states[batch] = new
                state.leases[batch] = lease.map { now + $0 }
                return true
            }
        }

        func state(of batch: String) async throws(Outage) -> BatchState? {
            try await book.perform(life) { state, _ in state.states[batch] }
        }

        func takeTurn(at batch: String, for time: Duration) async throws(Outage) -> Bool {
            try await book.perform(life) { state, now in
                guard state.turns[batch].map({ $0 <= now }) ?? true else { return false }
                state.turns[batch] = now + time
                return true
            }
        }

        func giveUp(_ batch: String, of service: String, at time: Timestamp) async throws(Outage) {
            try await book.perform(life) { state, _ in
                state.strays.removeAll { $0.batch == batch }
                state.strays.append((batch, time))
            }
        }

        func givenUp(of service: String, since time: Timestamp) async throws(Outage) -> [String] {
            try await book.perform(life) { state, _ in
                state.strays.removeAll { $0.at < time }
                return state.strays.map(\.batch).reversed()
            }
        }

        func settle(_ batch: String, of service: String) async throws(Outage) {
            try await book.perform(life) { state, _ in state.strays.removeAll { $0.batch == batch } }
        }

        func keep(_ lines: [Int: [UInt8]], of batch: String) async throws(Outage) {
            try await book.perform(life) { state, _ in
                for (number, line) in lines { state.lines["\(batch) \(number)"] = line }
            }
        }

        func forget(_ names: [String]) async {
            _ = try? await book.perform(life) { state, _ in for name in names { state.names[name] = nil } }
        }
    }
}
