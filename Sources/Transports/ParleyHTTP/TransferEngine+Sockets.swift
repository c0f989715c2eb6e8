import CCurl
import Glibc
import IOLoop
import ParleyPrimitives

/// A socket of libcurl's and what the loop watches it for.
///
/// libcurl stops watching a connection whenever a request ends and starts again with the next. Taking it out of the
/// poll set and back would cost two system calls a request, so a connection stays in it, marked unwanted, until an
/// event nobody wants arrives (the peer closed while idle) or libcurl closes it.
struct WatchedSocket {
    /// Opened by ``TransferEngine/openSocket(_:)``, so that its closing will be told. Others (those of libcurl's
    /// resolver threads) may vanish as soon as libcurl stops watching them.
    var ours: Bool
    var wanted = false
    var interest = Readiness(rawValue: 0)
    var source: IOSource?
}

extension TransferEngine {
    // MARK: - Called by libcurl

    /// Opens a socket, so that its life is known here.
    func openSocket(_ address: UnsafeMutablePointer<curl_sockaddr>?) -> curl_socket_t {
        guard let address = address?.pointee else { return -1 }
        let flags = Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let fd = socket(address.family, address.socktype | flags, address.`protocol`)
        if fd >= 0 {
            forget(fd)
            sockets[fd] = WatchedSocket(ours: true)
            if address.socktype == SOCK_STREAM.rawValue { watchPeer(of: fd) }
        }
        return fd
    }

    /// Has the kernel notice when the host at the other end is gone: by what it does not acknowledge, and by probes when
    /// nothing is under way (tcp(7)).
    private func watchPeer(of fd: Int32) {
        let limit = max(1000, configuration.vanishedTimeout.wholeMilliseconds)
        let tcp = Int32(IPPROTO_TCP)
        let options: [(level: Int32, name: Int32, value: Int64)] = [
            (tcp, TCP_USER_TIMEOUT, limit), (SOL_SOCKET, SO_KEEPALIVE, 1), (tcp, TCP_KEEPIDLE, max(1, limit / 2000)),
            (tcp, TCP_KEEPINTVL, max(1, limit / 4000)),
        ]
        for option in options {
            var value = Int32(clamping: option.value)
            setsockopt(fd, option.level, option.name, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    func closeSocket(_ fd: curl_socket_t) -> Int32 {
        forget(fd)
        return Glibc.close(fd)
    }

    /// `CURLMOPT_SOCKETFUNCTION`: what libcurl now waits for on `fd`.
    func watch(_ fd: curl_socket_t, _ what: Int32) {
        guard what != CURL_POLL_REMOVE else {
            guard sockets[fd]?.ours == true else { return forget(fd) }
            sockets[fd]?.wanted = false
            return
        }
        let interest = Readiness(
            isReadable: what == CURL_POLL_IN || what == CURL_POLL_INOUT,
            isWritable: what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        var socket = sockets[fd] ?? WatchedSocket(ours: false)
        socket.wanted = true
        if let source = socket.source {
            if socket.interest != interest { loop.update(source, for: interest) }
        } else {
            do {
                socket.source = try loop.add(fd, for: interest) { [weak self] ready in self?.ready(fd, ready) }
            } catch {
                // The request then ends by its timeout.
                logger.error("cannot watch a connection", metadata: ["error": "\(error)"])
            }
        }
        socket.interest = interest
        sockets[fd] = socket
    }

    /// `CURLMOPT_TIMERFUNCTION`: libcurl wants to be called in so many milliseconds; −1: no longer.
    func setTimer(_ milliseconds: Int) {
        switch milliseconds {
        case ..<0: timerDue = nil
        case 0:
            timerDue = nil
            kick()
        default: arm(.now + .milliseconds(milliseconds))
        }
    }

    // MARK: - Called by the loop

    private func ready(_ fd: Int32, _ ready: Readiness) {
        guard let socket = sockets[fd] else { return }
        guard socket.wanted else {
            if let source = socket.source { loop.remove(source) }
            sockets[fd]?.source = nil
            return
        }
        var mask: Int32 = 0
        if ready.contains(.readable) { mask |= CURL_CSELECT_IN }
        if ready.contains(.writable) { mask |= CURL_CSELECT_OUT }
        if ready.contains(.failed) { mask |= CURL_CSELECT_ERR }
        act(on: fd, mask)
    }

    /// An HTTP/2 answer has begun: on the socket libcurl was called for, or else on any of those in use.
    func noteMultiplexed() {
        if sockets[acting] != nil {
            multiplexed.insert(acting)
        } else {
            for (fd, socket) in sockets where socket.wanted && socket.ours { multiplexed.insert(fd) }
        }
    }

    /// Has libcurl look at the HTTP/2 connections once more at the end of the turn, until that brings nothing.
    ///
    /// libcurl 7.88 keeps frames of all streams of a connection in one buffer and forgets to come back to it when a
    /// stream had to leave some of its data there: without this, about one in five bursts of 250 answers of 50 KB
    /// stalled until the server sent something else. The socket must be reported readable for libcurl to look.
    func nudge() {
        progressed = false
        guard !multiplexed.isEmpty, !nudgePending else { return }
        nudgePending = true
        loop.atTurnEnd { [weak self] in
            guard let self else { return }
            nudgePending = false
            for fd in Array(multiplexed) where sockets[fd]?.wanted == true { act(on: fd, CURL_CSELECT_IN) }
        }
    }

    /// libcurl moves its timer several times a request, mostly later: a timer already running is left to fire and
    /// looks then whether it is time.
    private func arm(_ due: IOInstant) {
        timerDue = due
        if let armedTimer {
            if armedTimer.due <= due { return }
            loop.cancel(armedTimer.timer)
        }
        let timer = loop.schedule(at: due) { [weak self] in self?.timerFired() }
        armedTimer = (timer, due)
    }

    private func timerFired() {
        armedTimer = nil
        guard let due = timerDue else { return }
        if due > .now { return arm(due) }
        timerDue = nil
        act(on: parley_socket_timeout, 0)
    }

    /// Takes `fd` out of the poll set.
    func forget(_ fd: Int32) {
        multiplexed.remove(fd)
        if let source = sockets.removeValue(forKey: fd)?.source { loop.remove(source) }
    }
}
