import Glibc
import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ParleyPrimitives
import ServiceLifecycle
import Synchronization
import Telemetry

/// Serves `/livez`, `/readyz` and `/metrics` over HTTP/1.1, on a port or a Unix socket, on a thread of its own that sleeps while nobody asks.
///
/// Runs until graceful shutdown, which lets requests in progress finish and closes idle connections.
package struct AdminServer: Service, CustomStringConvertible {
    /// As service lifecycle logs it.
    package var description: String { "admin" }

    /// More connections wait in the backlog: probes and scrapers need a handful, and a flood must not eat descriptors
    /// that the brokers' connections need.
    private static let maximumConnections = 64
    /// Of one address: the rest is for others.
    private static let maximumPerAddress = 32
    /// For the headers of a connection's first request.
    private let headerLimit: Duration

    private let listen: AdminAddress
    private let routes: AdminRoutes
    private let logger: Logger
    private let onBound: @Sendable (Int) -> Void

    /// - Parameters:
    ///   - listen: where; `off` runs without serving anything.
    ///   - token: `admin.token`: what must be sent as a bearer token for all but `/livez`.
    ///   - headerLimit: how long the headers of a connection's first request may take.
    ///   - registry: what `/metrics` renders.
    ///   - readiness: asked for each `/readyz`; answers from what is known already, without calling a service.
    ///   - logger: for one line when listening begins.
    ///   - onBound: told the port once connections are accepted; 0 for a Unix socket.
    package init(
        listen: AdminAddress, token: String? = nil, headerLimit: Duration = .seconds(10), registry: MetricsRegistry,
        readiness: @escaping @Sendable () async -> Readiness,
        logger: Logger, onBound: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        self.listen = listen
        self.headerLimit = headerLimit
        routes = AdminRoutes(registry: registry, readiness: readiness, token: Shared(token))
        self.logger = logger
        self.onBound = onBound
    }

    /// Asks for another token from now on.
    package func useToken(_ token: String) { routes.token.set(token) }

    /// Serves until graceful shutdown or cancellation; throws `AdminError` when it cannot listen.
    package func run() async throws {
        switch listen.value {
        case .off: try? await gracefulShutdown()  // throws only when cancelled: the same end
        case .tcp(let host, let port):
            do {
                try await server(at: .hostname(host, port: port)) { channel in
                    began(channel.localAddress?.port ?? port)
                }.run()
            } catch { throw explain(error) }
        case .unix(let path): try await run(at: SocketFile(path))
        }
    }

    private func run(at file: SocketFile) async throws {
        let place = try file.place(for: listen)
        let published = Mutex<SocketFile.Identity?>(nil)
        let failed = Mutex(false)
        defer {
            file.abandon(place)
            if let own = published.withLock({ $0 }) { file.remove(own) }
        }
        do {
            try await server(at: .unixDomainSocket(path: place)) { channel in
                guard let own = file.publish(from: place) else {
                    failed.withLock { $0 = true }
                    return channel.close(promise: nil)
                }
                published.withLock { $0 = own }
                began(0)
            }.run()
        } catch { throw explain(error) }
        if failed.withLock({ $0 }) {
            throw AdminError.cannotListen(listen, reason: "the socket cannot be put there")
        }
    }

    private func began(_ port: Int) {
        logger.info("admin listening", metadata: ["address": "\(listen)", "port": "\(port)"])
        onBound(port)
    }

    /// The process's, and not shut down with a server: the server's own task of shutting down may still be at work on it
    /// when `run()` has returned, and NIO complains of that on standard error.
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    private func server(
        at address: BindAddress, _ onRunning: @escaping @Sendable (any Channel) -> Void
    ) -> Server<HTTP1Channel> {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let routes = routes
        let census = ConnectionGuard.Census(most: Self.maximumPerAddress)
        let headerLimit = headerLimit
        let channel = HTTP1Channel(
            responder: { request, writer, channel in
                ConnectionGuard.requestArrived(on: channel)
                let answer = await routes.answer(
                    method: request.method.rawValue, target: request.uri.string,
                    authorization: request.head.headerFields[.authorization])
                try await Self.write(answer, isHead: request.method == .head, to: writer)
            },
            configuration: .init(
                additionalChannelHandlers: [
                    ConnectionGuard(census: census, first: TimeAmount(headerLimit), later: .seconds(75))
                ],
                idleTimeout: .seconds(75),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 * 1024, maxHeaderListSize: 16 * 1024, maxHeaderFieldCount: 100)))
        return Server(
            childChannelSetup: channel,
            configuration: ServerConfiguration(
                address: address, backlog: 64,
                availableConnectionsDelegate: .maximum(Self.maximumConnections, logger: quiet)),
            onServerRunning: { channel in onRunning(channel) },
            eventLoopGroup: Self.group, logger: quiet)
    }

    @concurrent private static func write(
        _ answer: AdminRoutes.Answer, isHead: Bool, to writer: consuming ResponseWriter
    ) async throws {
        var fields = HTTPFields()
        fields[.contentType] = answer.contentType
        fields[.contentLength] = "\(answer.body.count)"
        fields[.cacheControl] = "no-store"
        if let allow = answer.allow { fields[.allow] = allow }
        if answer.status == 401 { fields[.wwwAuthenticate] = "Bearer" }
        let head = HTTPResponse(status: .init(code: answer.status), headerFields: fields)
        let body = isHead ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body))
        try await writer.write(response: head, body: body)
    }

    private func explain(_ error: any Error) -> any Error {
        switch error {
        case is CancellationError: error
        case let error as IOError where error.errnoCode == EADDRINUSE: AdminError.addressInUse(listen)
        case let error as IOError: AdminError.cannotListen(listen, reason: error.description)
        default: AdminError.cannotListen(listen, reason: "\(error)")
        }
    }
}
