import Glibc
import Synchronization
import Testing

/// A RabbitMQ of a suite's own, on free loopback ports: for tests that stop it, raise its alarms, change its users, or need
/// it configured otherwise than the one that all share.
package final class PrivateRabbitMQ: Sendable {
    /// `scripts/test --rabbitmq 4` names a folder with another version.
    private static let folders =
        getenv("PARLEY_TEST_RABBITMQ_SBIN").map { [String(cString: $0)] }
        ?? ["/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/usr/local/sbin", "/usr/sbin"]
    private static let server = folders.map { $0 + "/rabbitmq-server" }.first { access($0, X_OK) == 0 }
    private static let control = folders.map { $0 + "/rabbitmqctl" }.first { access($0, X_OK) == 0 }
    package static let isInstalled = server != nil && control != nil

    /// The broker of the running suite.
    @TaskLocal package static var current: PrivateRabbitMQ?

    package let folder: Folder
    package let port: UInt16
    package let tlsPort: UInt16
    private let epmdPort: UInt16
    private let environment: [String: String]
    private let node: String
    private let laterPorts: [UInt16]

    private struct Running {
        var epmd: pid_t?
        /// The start script; the server is its only child.
        var script: pid_t?
    }
    private let running = Mutex(Running())

    /// - Parameters:
    ///   - definitions: a file whose users replace `guest`.
    ///   - tls: also listens with TLS, and wants the client's certificate; see ``makeCertificates(in:)``.
    package init(definitions: String? = nil, tls: Bool = false) async throws {
        folder = try Folder()
        (port, tlsPort, epmdPort) = (try freePort(), try freePort(), try freePort())
        node = "parley-test-\(port)@localhost"
        laterPorts = tls ? [tlsPort] : []
        var lines = [
            "listeners.tcp.1 = 127.0.0.1:\(port)", "log.console = true", "log.console.level = warning",
            "log.file = false", "disk_free_limit.absolute = 50MB", "max_message_size = 134217728",
        ]
        if let definitions { lines.append("load_definitions = \(definitions)") }
        if tls {
            try await makeCertificates(in: folder)
            lines += [
                "listeners.ssl.1 = 127.0.0.1:\(tlsPort)", "ssl_options.cacertfile = \(folder.path)/ca.pem",
                "ssl_options.certfile = \(folder.path)/server.pem", "ssl_options.keyfile = \(folder.path)/server.key",
                "ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = true",
            ]
        }
        try folder.write("rabbitmq.conf", lines.joined(separator: "\n") + "\n")
        try folder.write("plugins", "[].\n")
        try folder.write("env.conf", "")
        let path = folder.path
        environment = [
            "HOME": path, "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": node, "RABBITMQ_NODE_PORT": "\(port)", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": "\(try freePort())", "RABBITMQ_MNESIA_BASE": path + "/data",
            "RABBITMQ_LOG_BASE": path + "/log", "RABBITMQ_CONFIG_FILE": path + "/rabbitmq.conf",
            "RABBITMQ_CONFIG_FILES": path + "/conf.d",
            // The one that is shipped: without it a delayed message may come three minutes after a crash.
            "RABBITMQ_ADVANCED_CONFIG_FILE": checkout("config/rabbitmq/advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": path + "/plugins", "RABBITMQ_CONF_ENV_FILE": path + "/env.conf",
            "RABBITMQ_GENERATED_CONFIG_DIR": path + "/generated", "RABBITMQ_SCHEMA_DIR": path + "/schema",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": "\(epmdPort)",
        ]
    }

    deinit { end() }

    /// - Parameter user: name and password, the same word in the development definitions.
    package func url(_ user: String = "guest", vhost: String = "") -> String {
        "amqp://\(user):\(user)@127.0.0.1:\(port)/\(vhost)"
    }

    /// With `query` for what else TLS needs: `&certfile=…&keyfile=…`.
    package func tlsURL(host: String = "localhost", ca: String? = "ca", client: String? = "client") -> String {
        var query: [String] = []
        if let ca { query.append("cacertfile=\(folder.path)/\(ca).pem") }
        if let client { query.append("certfile=\(folder.path)/\(client).pem&keyfile=\(folder.path)/\(client).key") }
        return "amqps://guest:guest@\(host):\(tlsPort)/?" + query.joined(separator: "&")
    }

    // MARK: - Its life

    package func start() async throws {
        guard let server = Self.server else { throw Failure("there is no rabbitmq-server") }
        let process = try running.withLock { running in
            if running.epmd == nil {
                running.epmd = try spawn(
                    ["/usr/bin/env", "epmd", "-address", "127.0.0.1", "-port", "\(epmdPort)"], environment, folder,
                    "epmd.log")
            }
            let process = try spawn([server], environment, folder, "server.log")
            running.script = process
            return process
        }
        try await waitUntil("the private RabbitMQ listens", within: .seconds(120)) {
            guard try endOf(process) == nil else {
                running.withLock { $0.script = nil }
                throw Failure("rabbitmq-server ended: \(folder.read("server.log"))")
            }
            // The listener with TLS comes after the other.
            return answersAMQP(port) && laterPorts.allSatisfy(isListening)
        }
    }

    /// Kills the server, which forgets nothing that it has confirmed.
    ///
    /// Which queues there are it writes to disk every two seconds only (Erlang's disk_log), whatever it has answered to
    /// their declaration; a test does not want to wait for that.
    package func crash() async throws {
        try await control("eval", "ok = mnesia:sync_log().")
        guard let script = running.withLock({ $0.script }) else { return }
        signal(SIGKILL)
        try await waitUntil("the broker has ended", within: .seconds(60)) { try endOf(script) != nil }
        running.withLock { $0.script = nil }
    }

    /// Ends it for good.
    package func end() {
        running.withLock { running in
            for process in [running.script, running.epmd] { if let process { TestSupport.end(process) } }
            running = Running()
        }
    }

    /// Sends a signal to the server.
    package func signal(_ number: Int32) {
        guard let script = running.withLock({ $0.script }) else { return }
        for child in children(of: script) { kill(child, number) }
    }

    /// What `rabbitmqctl` says.
    @discardableResult
    package func control(_ arguments: String...) async throws -> String {
        guard let control = Self.control else { throw Failure("there is no rabbitmqctl") }
        return try await run([control, "--node", node, "--quiet"] + arguments, environment, in: folder)
    }

    /// The broker's own process.
    package func process() async throws -> pid_t {
        let text = try await control("eval", "os:getpid().")
        guard let process = pid_t(text.filter(\.isNumber)) else { throw Failure("no process in \(text)") }
        return process
    }
}

/// The broker's first frame is a method frame: a byte 1.
private func answersAMQP(_ port: UInt16) -> Bool {
    exchange([0x41, 0x4D, 0x51, 0x50, 0, 0, 9, 1], with: port)?.first == 1
}

/// Gives a suite a broker of its own, which its tests find in `PrivateRabbitMQ.current`.
package struct PrivateRabbitMQTrait: SuiteTrait, TestScoping {
    var definitions: String?
    var tls = false

    package func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        let broker = try await PrivateRabbitMQ(definitions: definitions, tls: tls)
        defer { broker.end() }
        try await broker.start()
        try await PrivateRabbitMQ.$current.withValue(broker) { try await function() }
    }
}

extension Trait where Self == PrivateRabbitMQTrait {
    package static func privateRabbitMQ(definitions: String? = nil, tls: Bool = false) -> Self {
        PrivateRabbitMQTrait(definitions: definitions, tls: tls)
    }
}
