import CRabbitMQ
import Glibc
import ParleyPrimitives

/// The C connection: made by ``open(_:)`` on a thread of its own, then used and freed by one ``Session`` on its loop.
///
/// `~Copyable` would say "one owner" in the type, but the value crosses a continuation, which wants a copyable one.
final class Wire: @unchecked Sendable {
    // Proof of @unchecked Sendable: `open` builds it on the connect thread and keeps no reference; from then on only
    // the session that took it calls it, on its loop. `deinit` runs with no other reference left.
    let state: amqp_connection_state_t
    let endpoint: RabbitMQConfiguration.Endpoint
    private(set) var fd: Int32 = -1
    private(set) var frameMax = 131_072
    /// Negotiated, in seconds; zero is off.
    private(set) var heartbeat = 0
    private(set) var sendBuffer = 0
    /// Zero is no limit.
    private(set) var channelMax: UInt16 = 0
    private(set) var serverProperties = FieldTable()
    var arena = Arena()
    var decoder = FrameDecoder()
    /// Without TLS; from the login on.
    var plain: PlainStream?

    private init(state: amqp_connection_state_t, endpoint: RabbitMQConfiguration.Endpoint) {
        self.state = state
        self.endpoint = endpoint
    }

    deinit {
        arena.free()
        plain?.free()
        // Also closes the socket, unless the library has done so itself on an error.
        amqp_destroy_connection(state)
    }

    /// Connects and logs in to one of the endpoints, tried in random order. Blocks up to the connect timeout of each.
    static func open(_ configuration: RabbitMQConfiguration) -> Result<Wire, RabbitMQError> {
        var failure = RabbitMQError.invalid("no endpoint is configured; give at least one host and port")
        var refusal: RabbitMQError?
        for endpoint in configuration.endpoints.shuffled() {
            do throws(RabbitMQError) {
                return .success(try connect(configuration, endpoint))
            } catch {
                failure = error
                // What a broker says about us is more useful than another endpoint's silence.
                if !error.isUnreachable { refusal = error }
            }
        }
        return .failure(refusal ?? failure)
    }

    /// How many bytes longer than agreed a frame from the broker may be: room for hundreds of records of dead-lettering.
    ///
    /// librabbitmq decodes nested tables by recursion, at five bytes and about 110 bytes of stack a level: with 192 KiB a
    /// frame takes 4 MB of it at most, and loops have more.
    private static let largestAddition = 64 << 10

    private static func connect(
        _ configuration: RabbitMQConfiguration, _ endpoint: RabbitMQConfiguration.Endpoint
    ) throws(RabbitMQError) -> Wire {
        guard let state = amqp_new_connection() else {
            throw RabbitMQError(.unreachable, "out of memory for a connection to \(endpoint)")
        }
        let wire = Wire(state: state, endpoint: endpoint)
        var limit = configuration.connectTimeout.timeval
        amqp_set_handshake_timeout(state, &limit)
        amqp_set_rpc_timeout(state, &limit)
        guard
            let socket = try configuration.tls.map({ tls throws(RabbitMQError) in try tlsSocket(state, tls) })
                ?? amqp_tcp_socket_new(state)
        else { throw RabbitMQError(.unreachable, "out of memory for a socket to \(endpoint)") }
        errno = 0
        let status = amqp_socket_open_noblock(socket, endpoint.host, Int32(clamping: endpoint.port), &limit)
        guard status == 0 else { throw .connecting(to: endpoint, status: status, errno: errno) }
        wire.fd = amqp_get_sockfd(state)
        let silence = configuration.heartbeat.wholeSeconds * 2000
        wire.sendBuffer = Int(
            parley_tune_socket(wire.fd, UInt32(clamping: silence), Int32(clamping: configuration.sendBuffer)))
        try wire.login(configuration)
        wire.frameMax = max(4096, Int(amqp_get_frame_max(state)))
        wire.heartbeat = Int(amqp_get_heartbeat(state))
        wire.channelMax = UInt16(clamping: amqp_get_channel_max(state))
        // What RabbitMQ adds to a message's headers (x-death, x-delivery-count) may make their frame longer than what it
        // agreed to. Refusing it would end this connection and the next, as long as the message is there.
        let tuned = amqp_tune_connection(
            state, amqp_get_channel_max(state), Int32(clamping: wire.frameMax + Self.largestAddition),
            amqp_get_heartbeat(state))
        guard tuned == 0 else {
            throw RabbitMQError(.unreachable, "out of memory for the frames of a connection to \(endpoint)")
        }
        if configuration.tls == nil { wire.plain = PlainStream(fd: wire.fd) }
        if let table = amqp_get_server_properties(state) {
            wire.serverProperties = FieldTable(copying: table.pointee)
        }
        return wire
    }

    private func login(_ configuration: RabbitMQConfiguration) throws(RabbitMQError) {
        var arena = Arena()
        defer { arena.free() }
        var properties: FieldTable = [
            "product": "parley", "platform": "Swift", "information": "librabbitmq",
            "capabilities": .table([
                "publisher_confirms": true, "basic.nack": true, "connection.blocked": true,
                "consumer_cancel_notify": true, "authentication_failure_close": true,
            ]),
        ]
        if let name = configuration.connectionName { properties["connection_name"] = .string(name) }
        var table = try arena.table(properties)
        // Rounded up: librabbitmq counts whole seconds, and zero would switch heartbeats off.
        let heartbeat = Int32(clamping: configuration.heartbeat.wholeSeconds)
        let reply = parley_amqp_login(
            state, configuration.virtualHost, 131_072, heartbeat, &table, configuration.username,
            configuration.password)
        guard reply.reply_type != AMQP_RESPONSE_NORMAL else { return }
        throw .loggingIn(to: endpoint, configuration, reply)
    }

    private static func tlsSocket(
        _ state: amqp_connection_state_t, _ tls: RabbitMQConfiguration.TLS
    ) throws(RabbitMQError) -> OpaquePointer? {
        initializeTLSOnce
        guard let socket = amqp_ssl_socket_new(state) else {
            throw RabbitMQError(.tlsFailed, "librabbitmq has no TLS, or OpenSSL could not be set up")
        }
        amqp_ssl_socket_set_verify_peer(socket, tls.verifyPeer ? 1 : 0)
        amqp_ssl_socket_set_verify_hostname(socket, tls.verifyPeer && tls.verifyHostname ? 1 : 0)
        guard amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) == 0 else {
            throw RabbitMQError(.tlsFailed, "TLS 1.2 is not available in this OpenSSL")
        }
        let systemStores = [
            "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
        ]
        if let file = tls.caFile ?? systemStores.first(where: { access($0, R_OK) == 0 }) {
            guard amqp_ssl_socket_set_cacert(socket, file) == 0 else {
                throw RabbitMQError(.tlsFailed, "cannot read certificate authorities (PEM) from \(file)")
            }
        } else if tls.verifyPeer {
            throw RabbitMQError(.tlsFailed, "no system certificate store found; set cacertfile or verify=verify_none")
        }
        if let certificate = tls.certificateFile, let key = tls.keyFile {
            guard amqp_ssl_socket_set_key(socket, certificate, key) == 0 else {
                throw RabbitMQError(.tlsFailed, "cannot use client certificate \(certificate) with key \(key) (PEM)")
            }
        }
        return socket
    }
}

private let initializeTLSOnce: Void = parley_amqp_set_up_tls()

/// librabbitmq's status codes that are told apart.
enum Status {
    static let timeout = AMQP_STATUS_TIMEOUT.rawValue
    static let heartbeatTimeout = AMQP_STATUS_HEARTBEAT_TIMEOUT.rawValue
    static let badData = AMQP_STATUS_BAD_AMQP_DATA.rawValue
    static let nameResolution = AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED.rawValue

    static func text(_ status: Int32) -> String { String(cString: amqp_error_string2(status)) }
}

extension RabbitMQError {
    static func connecting(
        to endpoint: RabbitMQConfiguration.Endpoint, status: Int32, errno: Int32
    ) -> RabbitMQError {
        switch status {
        case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED.rawValue:
            RabbitMQError(.tlsFailed, "the certificate of \(endpoint) does not name \(endpoint.host)")
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED.rawValue:
            RabbitMQError(
                .tlsFailed, "the certificate of \(endpoint) is not signed by a trusted authority, or has expired")
        case AMQP_STATUS_SSL_ERROR.rawValue, AMQP_STATUS_SSL_CONNECTION_FAILED.rawValue:
            RabbitMQError(
                .tlsFailed,
                "TLS handshake with \(endpoint) failed (\(Status.text(status))): is it a TLS port, is its certificate "
                    + "signed by a trusted authority, does it want a client certificate?")
        case Status.nameResolution: RabbitMQError(.unreachable, "the name \(endpoint.host) cannot be resolved")
        case Status.timeout: RabbitMQError(.unreachable, "no answer from \(endpoint) in time")
        default:
            RabbitMQError(.unreachable, "nobody accepts connections at \(endpoint) (\(Status.text(status)))")
        }
    }

    static func loggingIn(
        to endpoint: RabbitMQConfiguration.Endpoint, _ configuration: RabbitMQConfiguration, _ reply: amqp_rpc_reply_t
    ) -> RabbitMQError {
        if reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION, reply.reply.id == Method.connectionClose,
            let close = reply.reply.decoded?.assumingMemoryBound(to: amqp_connection_close_t.self)
        {
            let text = close.pointee.reply_text.text
            let code = close.pointee.reply_code
            if code == 403 {
                return RabbitMQError(
                    .authenticationFailed, "\(endpoint) refused user '\(configuration.username)': \(text)",
                    replyCode: code)
            }
            return .fromBroker(replyCode: code, text: text, isConnection: true)
        }
        switch reply.library_error {
        case Status.timeout: return RabbitMQError(.unreachable, "\(endpoint) did not finish the login in time")
        case AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD.rawValue:
            return RabbitMQError(.authenticationFailed, "\(endpoint) does not offer login by user name and password")
        case let status where configuration.tls == nil:
            return RabbitMQError(
                .unreachable, "\(endpoint) ended the login (\(Status.text(status))): is it an AMQP port, without TLS?")
        case let status:
            // In TLS 1.3 a refused client certificate shows only after the handshake.
            return RabbitMQError(
                .tlsFailed, "\(endpoint) ended the login (\(Status.text(status))): does it want a client certificate?")
        }
    }
}
