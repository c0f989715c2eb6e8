import CEpoll
import Glibc

/// A file descriptor watched by an ``IOLoop``. Belongs to the loop that made it.
package struct IOSource: Sendable, Hashable {
    let token: UInt64
}

extension IOLoop {
    /// Watches `fd`. `handler` is called on the loop, level-triggered, until ``remove(_:)``.
    ///
    /// The descriptor stays the caller's: remove the source first, then close the descriptor.
    /// - Throws: ``IOLoopError`` when the kernel refuses (a bad or already watched descriptor).
    package func add(
        _ fd: Int32, for interest: Readiness, handler: @escaping (Readiness) -> Void
    ) throws(IOLoopError) -> IOSource {
        assertOnLoop()
        let token = sources.insert(Source(fd: fd, handler: handler))
        guard parley_epoll_control(epoll, EPOLL_CTL_ADD, fd, interest.events, token) == 0 else {
            let refusal = IOLoopError(call: "epoll_ctl", errno: errno)
            sources.remove(token)
            throw refusal
        }
        return IOSource(token: token)
    }

    /// Changes what `source` is watched for; unknown sources are ignored.
    package func update(_ source: IOSource, for interest: Readiness) {
        assertOnLoop()
        guard let entry = sources[source.token] else { return }
        _ = parley_epoll_control(epoll, EPOLL_CTL_MOD, entry.fd, interest.events, source.token)
    }

    /// Stops watching. The handler is not called again, not even for events already collected in this turn.
    package func remove(_ source: IOSource) {
        assertOnLoop()
        guard let entry = sources.remove(source.token) else { return }
        _ = parley_epoll_control(epoll, EPOLL_CTL_DEL, entry.fd, 0, source.token)
    }
}
