import NIOCore
import Synchronization

/// Ends connections that take long to ask, and those of an address that has too many: neither keeps others out.
///
/// Lives on its channel's event loop.
final class ConnectionGuard: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Never

    /// Connections by address.
    final class Census: Sendable {
        private let most: Int
        private let counts = Mutex<[String: Int]>([:])

        init(most: Int) { self.most = most }

        /// False when the address has as many as it may.
        func enter(_ address: String) -> Bool {
            counts.withLock { counts in
                guard counts[address, default: 0] < most else { return false }
                counts[address, default: 0] += 1
                return true
            }
        }

        func leave(_ address: String) {
            counts.withLock { counts in
                let left = counts[address, default: 0] - 1
                counts[address] = left > 0 ? left : nil
            }
        }
    }

    private let census: Census
    private let first: TimeAmount
    private let later: TimeAmount
    private var timer: Scheduled<Void>?

    /// - Parameters:
    ///   - first: how long the headers of the first request may take.
    ///   - later: from one request to the headers of the next, the answer included.
    init(census: Census, first: TimeAmount, later: TimeAmount) {
        self.census = census
        self.first = first
        self.later = later
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    private func begin(_ context: ChannelHandlerContext) {
        guard timer == nil else { return }
        // Without a port: a Unix socket has one address for all.
        let address = context.remoteAddress?.ipAddress ?? ""
        guard census.enter(address) else { return context.close(promise: nil) }
        let census = census
        context.channel.closeFuture.whenComplete { _ in census.leave(address) }
        limit(context.channel, first)
    }

    private func end() {
        timer?.cancel()
    }

    private func limit(_ channel: any Channel, _ time: TimeAmount) {
        timer?.cancel()
        timer = channel.eventLoop.assumeIsolated().scheduleTask(in: time) { channel.close(promise: nil) }
    }

    /// A whole request has come.
    static func requestArrived(on channel: any Channel) {
        channel.eventLoop.execute {
            guard let handler = try? channel.pipeline.syncOperations.handler(type: ConnectionGuard.self) else { return }
            handler.limit(channel, handler.later)
        }
    }
}
