import DequeModule
import Glibc
import IOLoop
import Synchronization

/// Connections to one database, each with a thread of its own, which blocking calls of libpq never leave. A thread and its
/// connection are made when there is work that no other is free for, and stay.
package final class PostgresPool: Sendable {
    private let work: PostgresWork
    private let address: PostgresAddress

    /// - Parameters:
    ///   - size: the most connections.
    ///   - setUp: a statement that each connection begins with.
    package init(_ address: PostgresAddress, size: Int, setUp: String? = nil) {
        self.address = address
        work = PostgresWork(address, size: size, setUp: setUp)
    }

    deinit { work.close() }

    /// Of connections that are made from now on.
    package func use(password: String) { address.use(password: password) }

    /// Has a connection do `body`, which gets the time that is left with it.
    ///
    /// - Parameter repeats: `body` only reads: when a connection that was kept has broken meanwhile, it is done once more over
    ///   a new one. Otherwise the connection is asked first whether it still is one.
    /// - Throws: when the time is up, whatever is still going on then; the server is told to stop it.
    package func run<T: Sendable>(
        timeout: Duration, repeats: Bool,
        _ body: @escaping @Sendable (PostgresConnection, ContinuousClock.Instant) throws(PostgresError) -> T
    ) async throws(PostgresError) -> T {
        let deadline = ContinuousClock.now + timeout
        let answer = Answer<T>()
        let result: Result<T, PostgresError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard answer.wait(continuation, until: deadline) else { return }
                work.add { worker in
                    // Nobody waits for it any more.
                    guard !answer.isGiven else { return }
                    do throws(PostgresError) {
                        let value = try worker.withConnection(until: deadline, repeats: repeats) {
                            connection throws(PostgresError) in try body(connection, deadline)
                        }
                        answer.give(.success(value))
                    } catch {
                        answer.give(.failure(error))
                    }
                } orElse: {
                    answer.give(.failure(PostgresError(.unreachable, "no thread for a connection: \($0)")))
                }
            }
        } onCancel: {
            answer.give(.failure(PostgresError(.cancelled, "cancelled")))
        }
        return try result.get()
    }
}

/// What one caller waits for: the first of answer, deadline and cancellation counts.
private final class Answer<T: Sendable>: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Result<T, PostgresError>, Never>?
        var timer: Task<Void, Never>?
        var result: Result<T, PostgresError>?
    }

    private let state = Mutex(State())

    var isGiven: Bool { state.withLock { $0.result != nil } }

    /// - Returns: false when it was cancelled before.
    func wait(
        _ continuation: CheckedContinuation<Result<T, PostgresError>, Never>, until deadline: ContinuousClock.Instant
    ) -> Bool {
        let early = state.withLock { state in
            if state.result == nil {
                state.continuation = continuation
                // A thread that resolves a name, or waits for its turn, does not look at the clock.
                state.timer = Task { [weak self] in
                    guard (try? await Task.sleep(until: deadline, clock: .continuous)) != nil else { return }
                    self?.give(.failure(PostgresError(.timedOut, "no answer in time")))
                }
            }
            return state.result
        }
        if let early { continuation.resume(returning: early) }
        return early == nil
    }

    func give(_ result: Result<T, PostgresError>) {
        let last: State? = state.withLock { state in
            guard state.result == nil else { return nil }
            let last = state
            state = State(result: result)
            return last
        }
        last?.timer?.cancel()
        last?.continuation?.resume(returning: result)
    }
}

/// What waits for a connection, and the threads that take from it.
private final class PostgresWork: @unchecked Sendable {
    // Proof of @unchecked Sendable: `state` is touched between lock and unlock only, all else is constant.
    typealias Item = @Sendable (Worker) -> Void

    private struct State {
        var items: Deque<Item> = []
        var threads = 0
        var idle = 0
        var isClosed = false
    }

    private let address: PostgresAddress
    private let size: Int
    private let setUp: String?
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state = State()

    init(_ address: PostgresAddress, size: Int, setUp: String?) {
        self.address = address
        self.size = max(1, size)
        self.setUp = setUp
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        pthread_cond_init(condition, nil)
    }

    // The threads hold it: none is left by now.
    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func add(_ item: @escaping Item, orElse refuse: (IOLoopError) -> Void) {
        pthread_mutex_lock(mutex)
        let needsThread = state.items.count >= state.idle && state.threads < size
        if needsThread { state.threads += 1 }
        state.items.append(item)
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
        guard needsThread else { return }
        do throws(IOLoopError) {
            try startThread(named: "postgres") { [self] in serve() }
        } catch {
            pthread_mutex_lock(mutex)
            state.threads -= 1
            let isAlone = state.threads == 0
            if isAlone { state.items = [] }
            pthread_mutex_unlock(mutex)
            // Otherwise another's thread comes to it.
            if isAlone { refuse(error) }
        }
    }

    /// The threads end with what they are doing.
    func close() {
        pthread_mutex_lock(mutex)
        state.isClosed = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    private func serve() {
        let worker = Worker(address, setUp: setUp)
        while let item = next() { item(worker) }
    }

    private func next() -> Item? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        state.idle += 1
        defer { state.idle -= 1 }
        while true {
            if let item = state.items.popFirst() { return item }
            guard !state.isClosed else { return nil }
            pthread_cond_wait(condition, mutex)
        }
    }

    /// A thread's connection.
    final class Worker {
        private let address: PostgresAddress
        private let setUp: String?
        private var connection: PostgresConnection?

        init(_ address: PostgresAddress, setUp: String?) {
            self.address = address
            self.setUp = setUp
        }

        func withConnection<T>(
            until deadline: ContinuousClock.Instant, repeats: Bool,
            _ body: (PostgresConnection) throws(PostgresError) -> T
        ) throws(PostgresError) -> T {
            if let kept = connection, repeats || isThere(kept, deadline) {
                do throws(PostgresError) {
                    let value = try body(kept)
                    if kept.isBroken { connection = nil }
                    return value
                } catch {
                    guard kept.isBroken else { throw error }
                    connection = nil
                    // It broke while nobody looked. A server that does not answer is not asked twice.
                    guard repeats, error.code != .timedOut else { throw error }
                }
            }
            connection = nil
            let new = try PostgresConnection(address, setUp: setUp, deadline: deadline)
            let value: T
            do throws(PostgresError) { value = try body(new) } catch {
                if !new.isBroken { connection = new }
                throw error
            }
            if !new.isBroken { connection = new }
            return value
        }

        private func isThere(_ connection: PostgresConnection, _ deadline: ContinuousClock.Instant) -> Bool {
            (try? connection.query("SELECT 1", timeout: deadline - .now)) != nil
        }
    }
}
