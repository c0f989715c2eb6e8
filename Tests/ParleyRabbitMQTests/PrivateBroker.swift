import Foundation
import Glibc
import Testing

@testable import ParleyRabbitMQ

/// A RabbitMQ server of the tests' own, on free loopback ports, with its data in a temporary directory.
final class PrivateBroker: @unchecked Sendable {
    // Proof of @unchecked Sendable: tests of a broker run one after the other (`.serialized`).
    /// `scripts/test --rabbitmq 4` names a folder with another version.
    private static let folder =
        ProcessInfo.processInfo.environment["PARLEY_TEST_RABBITMQ_SBIN"] ?? "/usr/lib/rabbitmq/bin"
    static let server = folder + "/rabbitmq-server"
    static let control = folder + "/rabbitmqctl"
    /// The one that is shipped: without it a delayed message may come three minutes after a crash.
    static let advancedConfig = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../config/rabbitmq/advanced.config").standardized.path
    static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: server) }

    let directory: URL
    let port: Int
    let tlsPort: Int
    private let distributionPort: Int
    private let node: String
    private let tls: Bool
    private var process: pid_t?

    /// The broker of the running suite.
    @TaskLocal static var current: PrivateBroker?

    init(tls: Bool = false) async throws {
        self.tls = tls
        port = try freePort()
        tlsPort = try freePort()
        distributionPort = try freePort()
        node = "parley-test-\(port)@localhost"
        directory = FileManager.default.temporaryDirectory.appending(path: "parley-rabbitmq-\(port)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        var config = """
            listeners.tcp.1 = 127.0.0.1:\(port)
            loopback_users = none
            heartbeat = 60
            log.console = false
            max_message_size = 134217728

            """
        if tls {
            try await makeCertificates()
            config += """
                listeners.ssl.1 = 127.0.0.1:\(tlsPort)
                ssl_options.cacertfile = \(directory.path)/ca.pem
                ssl_options.certfile = \(directory.path)/server.pem
                ssl_options.keyfile = \(directory.path)/server.key
                ssl_options.verify = verify_peer
                ssl_options.fail_if_no_peer_cert = true

                """
        }
        try config.write(to: directory.appending(path: "rabbitmq.conf"), atomically: true, encoding: .utf8)
        try "[].".write(to: directory.appending(path: "plugins"), atomically: true, encoding: .utf8)
    }

    private var environment: [String: String] {
        [
            "HOME": directory.path, "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": node, "RABBITMQ_NODE_PORT": "\(port)", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": "\(distributionPort)", "RABBITMQ_MNESIA_BASE": directory.path + "/mnesia",
            "RABBITMQ_LOG_BASE": directory.path + "/log", "RABBITMQ_CONFIG_FILE": directory.path + "/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": directory.path + "/plugins", "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ADVANCED_CONFIG_FILE": Self.advancedConfig,
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none",
        ]
    }

    func url(_ rest: String = "") -> String { "amqp://guest:guest@127.0.0.1:\(port)\(rest)" }

    func start() async throws {
        process = try spawn(Self.server, [], environment: environment, output: directory.path + "/output")
        try await waitUntil("the broker listens on \(port)", within: .seconds(60)) {
            var configuration = try RabbitMQConfiguration(url: self.url())
            configuration.connectTimeout = .seconds(2)
            guard case .success = Wire.open(configuration) else { return false }
            // The listener with TLS comes after the other.
            return !self.tls || isListening(self.tlsPort)
        }
    }

    /// Kills the server, which forgets nothing that it has confirmed.
    ///
    /// Which queues there are it writes to disk every two seconds only (Erlang's disk_log), whatever it has answered to
    /// their declaration; a test does not want to wait for that.
    func crash() async throws {
        try await control("eval", "ok = mnesia:sync_log().")
        try await stop(crash: true)
    }

    /// Ends the server, orderly or at once.
    func stop(crash: Bool = false) async throws {
        guard let process else { return }
        signal(SIGCONT)
        signal(crash ? SIGKILL : SIGTERM)
        try await waitUntil("the broker has ended", within: .seconds(30)) { try hasEnded(process) != nil }
        self.process = nil
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    /// Sends a signal to the server, which is the only child of its script.
    func signal(_ number: Int32) {
        guard let process, let file = FileHandle(forReadingAtPath: "/proc/\(process)/task/\(process)/children"),
            let children = try? file.readToEnd()
        else { return }
        for child in String(decoding: children, as: UTF8.self).split(separator: " ").compactMap({ pid_t($0) }) {
            kill(child, number)
        }
    }

    @discardableResult
    func control(_ arguments: String...) async throws -> String {
        try await run(Self.control, ["-n", node] + arguments, environment: environment)
    }

    private func makeCertificates() async throws {
        let script = """
            set -e
            cd \(directory.path)
            ca() {
              openssl req -x509 -newkey rsa:2048 -nodes -keyout $1.key -out $1.pem -days 2 -subj "/CN=$1" \
                -addext basicConstraints=critical,CA:TRUE
            }
            leaf() {
              openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -subj "/CN=$1"
              printf 'subjectAltName=DNS:localhost\\n' > $1.ext
              openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.pem -days 2 -extfile $1.ext
            }
            ca ca; ca other; leaf server; leaf client
            """
        try await run("/bin/bash", ["-c", script], environment: environment)
    }
}

// Foundation's Process spins in `waitUntilExit` off the main thread, on one of the few threads that tests run on.
private func spawn(
    _ path: String, _ arguments: [String], environment: [String: String], output: String
) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    // The threads that tests run on block most signals, which a child would inherit.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    let argv = ([path] + arguments).map { strdup($0) } + [nil]
    let envp = environment.map { strdup("\($0)=\($1)") } + [nil]
    defer { for text in argv + envp { free(text) } }
    var pid: pid_t = 0
    let status = posix_spawn(&pid, path, &actions, &attributes, argv, envp)
    guard status == 0 else { throw Failure("\(path): \(String(cString: strerror(status)))") }
    return pid
}

/// The exit status, once the process has ended.
private func hasEnded(_ pid: pid_t) throws -> Int32? {
    var status: Int32 = 0
    switch waitpid(pid, &status, WNOHANG) {
    case 0: return nil
    case pid: return status
    default: throw Failure("waitpid: \(String(cString: strerror(errno)))")
    }
}

@discardableResult
private func run(_ path: String, _ arguments: [String], environment: [String: String]) async throws -> String {
    let output = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: output) }
    let pid = try spawn(path, arguments, environment: environment, output: output.path)
    var status: Int32?
    try await waitUntil("\(path) ends", within: .seconds(60)) {
        status = try hasEnded(pid)
        return status != nil
    }
    let text = String(decoding: try Data(contentsOf: output), as: UTF8.self)
    guard status == 0 else { throw Failure("\(path) \(arguments): \(text)") }
    return text
}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

func freePort() throws -> Int {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fd) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(fd, $0, length) == 0 ? getsockname(fd, $0, &length) : -1
        }
    }
    guard status == 0 else { throw Failure("no free port") }
    return Int(UInt16(bigEndian: address.sin_port))
}

private func isListening(_ port: Int) -> Bool {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fd) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = UInt16(port).bigEndian
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}

/// Looks again every few milliseconds until `condition` holds; fails after `limit`.
func waitUntil(
    _ what: String, within limit: Duration = .seconds(15), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw Failure("waited \(limit) in vain until \(what)") }
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// Gives a suite a broker of its own, which its tests find in `PrivateBroker.current`.
struct BrokerTrait: SuiteTrait, TestScoping {
    var tls = false

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        let broker = try await PrivateBroker(tls: tls)
        defer { broker.remove() }
        try await broker.start()
        do {
            try await PrivateBroker.$current.withValue(broker) { try await function() }
        } catch {
            try await broker.stop(crash: true)
            throw error
        }
        try await broker.stop(crash: true)
    }
}

extension Trait where Self == BrokerTrait {
    static var privateBroker: Self { BrokerTrait() }
    static var privateBrokerWithTLS: Self { BrokerTrait(tls: true) }
}
