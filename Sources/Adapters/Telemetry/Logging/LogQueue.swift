import Glibc
import IOLoop
import Synchronization

/// Lines on their way to a descriptor, written by a thread of its own: whoever logs never waits for who reads.
///
/// What is not written yet is bounded. Lines beyond are dropped and counted, and a line in their place says how many.
final class LogQueue: @unchecked Sendable {
    // Proof of @unchecked Sendable: `descriptor`, `capacity` and `lost` are immutable; `state` is touched between lock and
    // unlock of `mutex` only.

    /// Bytes that may wait, those being written included.
    static let standardCapacity = 1 << 20

    /// Lines dropped since the process began, by any queue.
    static var dropped: Int { droppedLines.load(ordering: .relaxed) }
    private static let droppedLines = Atomic<Int>(0)

    private let descriptor: Int32
    private let capacity: Int
    private let lost: @Sendable (_ lines: Int) -> [UInt8]
    private var state = State()
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    /// Lines have come, or all have been written.
    private let changed: UnsafeMutablePointer<pthread_cond_t>

    private struct State {
        var waiting: [UInt8] = []
        /// Bytes that the thread is writing.
        var inWork = 0
        /// Lines dropped that no line has spoken of.
        var dropped = 0
        var isIdle = false
        var isClosed = false

        var isEmpty: Bool { waiting.isEmpty && inWork == 0 && dropped == 0 }
    }

    /// - Parameters:
    ///   - descriptor: stays the caller's, and open until the queue has been closed and flushed.
    ///   - lost: the line that stands for so many that were dropped.
    /// - Throws: ``IOLoopError`` when the kernel gives no thread.
    init(
        descriptor: Int32, capacity: Int = standardCapacity, lost: @escaping @Sendable (_ lines: Int) -> [UInt8]
    ) throws(IOLoopError) {
        self.descriptor = descriptor
        self.capacity = capacity
        self.lost = lost
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        changed = .allocate(capacity: 1)
        changed.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
        try startThread(named: "parley-log") { self.run() }
    }

    deinit {
        pthread_cond_destroy(changed)
        changed.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func append(_ line: [UInt8]) {
        withLock {
            guard state.waiting.count + state.inWork + line.count <= capacity else {
                state.dropped += 1
                Self.droppedLines.wrappingAdd(1, ordering: .relaxed)
                return
            }
            state.waiting += line
            if state.isIdle { pthread_cond_broadcast(changed) }
        }
    }

    /// Waits until everything is written, at most `limit`: a reader that has stopped must not keep a process alive.
    func flush(within limit: Duration) {
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &end)
        let due = end.tv_nsec + Int(limit / .nanoseconds(1))
        end.tv_sec += due / 1_000_000_000
        end.tv_nsec = due % 1_000_000_000
        withLock {
            while !state.isEmpty {
                if pthread_cond_timedwait(changed, mutex, &end) != 0 { return }
            }
        }
    }

    /// Ends the thread once everything is written.
    func close() {
        withLock {
            state.isClosed = true
            pthread_cond_broadcast(changed)
        }
    }

    // MARK: - The thread

    private func run() {
        var batch: [UInt8] = []
        while takeAll(into: &batch) {
            let isWritten = batch.withUnsafeBytes { writeAll($0, to: descriptor, patience: -1) }
            if !isWritten {
                let lines = batch.reduce(0) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) }
                Self.droppedLines.wrappingAdd(lines, ordering: .relaxed)
            }
            // What a burst has taken is given back.
            batch.removeAll(keepingCapacity: batch.capacity <= 64 << 10)
        }
    }

    /// Waits for lines and moves them to `batch`; false when there will be none.
    private func takeAll(into batch: inout [UInt8]) -> Bool {
        withLock {
            state.inWork = 0
            while state.isEmpty {
                pthread_cond_broadcast(changed)
                if state.isClosed { return false }
                state.isIdle = true
                pthread_cond_wait(changed, mutex)
                state.isIdle = false
            }
            swap(&batch, &state.waiting)
            if state.dropped > 0 {
                batch += lost(state.dropped)
                state.dropped = 0
            }
            state.inWork = batch.count
            return true
        }
    }

    private func withLock<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}

/// Writes all of `bytes`, or as much as the descriptor takes.
/// - Parameter patience: milliseconds that a descriptor which does not block may take no more; −1: for ever.
/// - Returns: whether all was written.
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, patience: Int32) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
        let written = Glibc.write(descriptor, rest.baseAddress, rest.count)
        if written >= 0 {
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        } else if errno == EAGAIN {
            var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let ready = poll(&wait, 1, patience)
            guard ready > 0 || (ready < 0 && errno == EINTR) else { return false }
        } else if errno != EINTR {
            return false
        }
    }
    return true
}
