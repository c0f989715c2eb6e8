import CEpoll

/// What a file descriptor is ready for, or what a handler wants to hear of.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Bytes can be read, or the peer has closed (a read tells which).
    package static let readable = Readiness(rawValue: 1)
    /// Bytes can be written.
    package static let writable = Readiness(rawValue: 2)
    /// The descriptor failed; always reported, whatever was asked for.
    package static let failed = Readiness(rawValue: 4)

    /// Not an array literal, which is put together element by element in every module but this one.
    package init(isReadable: Bool, isWritable: Bool) {
        self.init(rawValue: (isReadable ? 1 : 0) | (isWritable ? 2 : 0))
    }

    init(events: UInt32) {
        var ready = Readiness(rawValue: 0)
        if events & (parley_epoll_in | parley_epoll_rdhup) != 0 { ready.insert(.readable) }
        if events & parley_epoll_out != 0 { ready.insert(.writable) }
        if events & (parley_epoll_err | parley_epoll_hup) != 0 { ready.formUnion([.failed, .readable]) }
        self = ready
    }

    var events: UInt32 {
        (contains(.readable) ? parley_epoll_in : 0) | (contains(.writable) ? parley_epoll_out : 0)
    }
}
