import CEpoll
import Glibc

/// A system call that the loop cannot do without has failed.
package struct IOLoopError: Error, CustomStringConvertible, Sendable {
    /// The name of the call.
    package let call: String
    /// The `errno` it left.
    package let errno: Int32

    package var description: String { "\(call): \(String(cString: strerror(errno)))" }
}

/// Runs blocking `work` (name resolution, a C library's blocking connect) on a thread of its own, never on the
/// cooperative pool or on a loop.
///
/// `work` cannot be cancelled: bound it by its own timeout.
package func offload<T: Sendable>(_ name: String, _ work: @escaping @Sendable () -> T) async throws(IOLoopError) -> T {
    let result: Result<T, IOLoopError> = await withCheckedContinuation { continuation in
        do throws(IOLoopError) {
            try startThread(named: name) { continuation.resume(returning: .success(work())) }
        } catch {
            continuation.resume(returning: .failure(error))
        }
    }
    return try result.get()
}

/// Starts a detached thread.
package func startThread(named name: String, _ body: @escaping () -> Void) throws(IOLoopError) {
    final class Start {
        let name: String
        let body: () -> Void
        init(name: String, body: @escaping () -> Void) {
            self.name = name
            self.body = body
        }
    }
    let start = Unmanaged.passRetained(Start(name: name, body: body))
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    // C libraries recurse by what peers send. Only what is used takes memory; without this it is what `ulimit -s` says, and
    // 2 MiB where that is unlimited.
    pthread_attr_setstacksize(&attributes, 16 << 20)
    var thread = pthread_t()
    let status = pthread_create(
        &thread, &attributes,
        { raw in
            guard let raw else { return nil }
            let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
            parley_name_thread(start.name)
            start.body()
            return nil
        }, start.toOpaque())
    guard status == 0 else {
        start.release()
        throw IOLoopError(call: "pthread_create", errno: status)
    }
}
