import CEpoll
import Glibc
import HeapModule
import Synchronization

/// One thread, one poll set, one mailbox: the only place where threads and C meet.
///
/// librabbitmq, hiredis and libcurl each want a single thread. An `IOLoop` is that thread, and it is also a
/// `SerialExecutor`: an actor whose `unownedExecutor` is a loop runs on the loop's thread, so the compiler
/// guarantees that a C handle stored in such an actor is touched by one thread only, and a call from one actor of
/// a loop to another is a plain function call, with no hop between threads.
///
/// It is a `TaskExecutor` too, and a task that waits on a loop's clients should prefer it
/// (`Task(executorPreference: loop)`): continuations resume a task on its preferred executor, and without one on the
/// global pool, from where it comes back here two thread changes later.
///
/// One *turn* of the loop:
/// 1. run the jobs in the mailbox (Swift tasks resumed by whatever happened before);
/// 2. run the turn-end hooks (clients write what the jobs queued, as one pipelined write each);
/// 3. wait for sockets, timers or new jobs, and call the handlers of what is ready.
///
/// Batching follows from this with no timer: whatever arrived in one turn leaves in one write.
package final class IOLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
    // Proof of @unchecked Sendable: `mailbox` is behind a lock; `thread` is atomic; `name`, `onTurn`, `epoll`, `wakeup` are
    // immutable; every other stored property is read and written on the loop's own thread only, which `assertOnLoop` checks.

    /// Shown as the thread's name in `top -H` and in crash reports.
    package let name: String

    /// Told on the loop how many nanoseconds each turn took, the wait for events left out: whatever came meanwhile, a due
    /// timer or a heartbeat, waited so long.
    private let onTurn: (@Sendable (_ nanoseconds: Int64) -> Void)?

    let epoll: Int32
    private let wakeup: Int32
    private let mailbox = Lock(Mailbox())
    /// The loop's own; 0 until it runs.
    private let thread = Atomic<pthread_t>(0)

    var sources = Slots<Source>()
    var timers = Heap<TimerEntry>()
    /// What each timer does that has neither fired nor been cancelled.
    var timerBodies = Slots<() -> Void>()
    private var turnEndHooks: [() -> Void] = []
    /// Room for the next ones.
    private var emptied: (jobs: [UnownedJob], hooks: [() -> Void]) = ([], [])
    private var stopped = false

    private struct Mailbox {
        var jobs: [UnownedJob] = []
        var waiting = false
        var stopping = false
    }

    struct Source {
        let fd: Int32
        let handler: (Readiness) -> Void
    }

    /// Starts the thread. It lives until ``stop()``.
    /// - Throws: ``IOLoopError`` when the kernel refuses an epoll set, an eventfd or a thread.
    package init(
        name: String, onTurn: (@Sendable (_ nanoseconds: Int64) -> Void)? = nil
    ) throws(IOLoopError) {
        self.name = name
        self.onTurn = onTurn
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw IOLoopError(call: "epoll_create1", errno: errno) }
        wakeup = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wakeup >= 0 else { throw IOLoopError(call: "eventfd", errno: errno) }
        guard parley_epoll_control(epoll, EPOLL_CTL_ADD, wakeup, parley_epoll_in, 0) == 0 else {
            throw IOLoopError(call: "epoll_ctl", errno: errno)
        }
        try startThread(named: name) { self.run() }
    }

    // Not when the thread ends: a late `enqueue` or `stop` still writes to `wakeup`, and its number may by then belong to
    // somebody's socket.
    deinit {
        close(epoll)
        close(wakeup)
    }

    /// Ends the loop after the jobs already in its mailbox. Nothing may be enqueued afterwards.
    package func stop() {
        mailbox.withLock { $0.stopping = true }
        wake()
    }

    // MARK: - Executor

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let mustWake = mailbox.withLock { mailbox in
            mailbox.jobs.append(job)
            defer { mailbox.waiting = false }
            return mailbox.waiting
        }
        if mustWake { wake() }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// Called by the runtime for `assumeIsolated` outside a task: true on the loop's thread.
    package func checkIsolated() { assertOnLoop() }

    /// Whether the caller runs on this loop's thread.
    package var isCurrent: Bool { thread.load(ordering: .relaxed) == pthread_self() }

    func assertOnLoop() { precondition(isCurrent, "used off the thread of IOLoop \(name)") }

    /// Runs `body` once, after the jobs of this turn and before the loop waits again.
    ///
    /// A client that has queued commands flushes them here, so that all that one turn produced is one write.
    /// Call it on the loop only.
    package func atTurnEnd(_ body: @escaping () -> Void) { turnEndHooks.append(body) }

    // MARK: - The loop

    private func wake() {
        var one: UInt64 = 1
        _ = write(wakeup, &one, MemoryLayout<UInt64>.size)
    }

    private func run() {
        thread.store(pthread_self(), ordering: .relaxed)
        let capacity = 256
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
        defer { events.deallocate() }
        var began = Self.nanoseconds()
        while true {
            runJobs()
            let wait = armWait()
            if stopped { break }
            if let onTurn { onTurn(Self.nanoseconds() - began) }
            let ready = epoll_wait(epoll, events, Int32(capacity), wait)
            if onTurn != nil { began = Self.nanoseconds() }
            mailbox.withLock { $0.waiting = false }
            for index in 0..<max(0, Int(ready)) { dispatch(events + index) }
            fireTimers()
        }
    }

    /// Jobs and hooks until there is nothing left, but at most a few rounds so that sockets are never starved.
    private func runJobs() {
        // The loop's own while they run: each look at a property of the loop's is checked.
        var jobs: [UnownedJob] = []
        var hooks: [() -> Void] = []
        swap(&jobs, &emptied.jobs)
        swap(&hooks, &emptied.hooks)
        defer { emptied = (jobs, hooks) }
        let (serial, tasks) = (asUnownedSerialExecutor(), asUnownedTaskExecutor())
        for _ in 0..<8 {
            var batches = 0
            while batches < 64 {
                mailbox.withLock { swap(&jobs, &$0.jobs) }
                if jobs.isEmpty { break }
                batches += 1
                for job in jobs { job.runSynchronously(isolatedTo: serial, taskExecutor: tasks) }
                jobs.removeAll(keepingCapacity: true)
            }
            if turnEndHooks.isEmpty { return }
            swap(&hooks, &turnEndHooks)
            for hook in hooks { hook() }
            hooks.removeAll(keepingCapacity: true)
        }
    }

    /// Milliseconds for `epoll_wait`: 0 when work is pending, −1 for ever.
    private func armWait() -> Int32 {
        let timeout = nextTimerDelay()
        return mailbox.withLock { mailbox in
            if !mailbox.jobs.isEmpty || !turnEndHooks.isEmpty { return 0 }
            // Not waiting: a late job must not write to a descriptor that is closed, and by then perhaps another's.
            if mailbox.stopping {
                stopped = true
                return 0
            }
            mailbox.waiting = true
            return timeout
        }
    }

    private func dispatch(_ event: UnsafeMutablePointer<epoll_event>) {
        let token = parley_epoll_token(event)
        if token == 0 {
            var count: UInt64 = 0
            _ = read(wakeup, &count, MemoryLayout<UInt64>.size)
            return
        }
        // An earlier handler of this turn may have removed this source: its token is then unknown.
        guard let source = sources[token] else { return }
        source.handler(Readiness(events: event.pointee.events))
    }
}
