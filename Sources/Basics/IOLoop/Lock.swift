import Glibc

/// A value behind a POSIX mutex.
///
/// Not `Synchronization.Mutex`: when that one is contended it waits inside the standard library, which Thread Sanitizer
/// does not see into, and every hand-over of the mailbox would be reported as a race.
final class Lock<Value>: @unchecked Sendable {
    // Proof of @unchecked Sendable: `value` is touched between lock and unlock only.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    init(_ value: Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&value)
    }
}
