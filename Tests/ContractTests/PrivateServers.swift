import Glibc
import Testing

/// A RabbitMQ of a suite's own, on free loopback ports: for tests that raise its alarms, change its users, or need it
/// configured otherwise than the one that all share.
final class PrivateRabbitMQ: @unchecked Sendable {
    // Proof of @unchecked Sendable: `children` is set in `start` and read in `stop`, which the suite's scope calls one
    // after the other; the rest is immutable.
    /// `scripts/test --rabbitmq 4` names a folder with another version.
    private static let folders =
        getenv("PARLEY_TEST_RABBITMQ_SBIN").map { [String(cString: $0)] }
        ?? ["/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/usr/local/sbin", "/usr/sbin"]
    static let server = folders.map { $0 + "/rabbitmq-server" }.first { access($0, X_OK) == 0 }
    static let control = folders.map { $0 + "/rabbitmqctl" }.first { access($0, X_OK) == 0 }
    static let isInstalled = server != nil && control != nil

    /// The broker of the running suite.
    @TaskLocal static var current: PrivateRabbitMQ?

    let folder: Folder
    let port: UInt16
    let tlsPort: UInt16
    private let epmdPort: UInt16
    private let environment: [String: String]
    private let node: String
    private let laterPorts: [UInt16]
    private var children: [pid_t] = []

    /// - Parameters:
    ///   - definitions: a file whose users replace `guest`.
    ///   - tls: also listens with TLS, and wants the client's certificate; see ``makeCertificates(in:)``.
    init(definitions: String? = nil, tls: Bool = false) async throws {
        folder = try Folder()
        (port, tlsPort, epmdPort) = (try closedPort(), try closedPort(), try closedPort())
        node = "parley-test-\(port)@localhost"
        laterPorts = tls ? [tlsPort] : []
        var lines = [
            "listeners.tcp.1 = 127.0.0.1:\(port)", "log.console = true", "log.console.level = warning",
            "log.file = false", "disk_free_limit.absolute = 50MB",
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
            "RABBITMQ_DIST_PORT": "\(try closedPort())", "RABBITMQ_MNESIA_BASE": path + "/data",
            "RABBITMQ_LOG_BASE": path + "/log", "RABBITMQ_CONFIG_FILE": path + "/rabbitmq.conf",
            "RABBITMQ_CONFIG_FILES": path + "/conf.d",
            "RABBITMQ_ADVANCED_CONFIG_FILE": checkout("config/rabbitmq/advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": path + "/plugins", "RABBITMQ_CONF_ENV_FILE": path + "/env.conf",
            "RABBITMQ_GENERATED_CONFIG_DIR": path + "/generated", "RABBITMQ_SCHEMA_DIR": path + "/schema",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": "\(epmdPort)",
        ]
    }

    /// - Parameter user: name and password, the same word in the development definitions.
    func url(_ user: String = "guest", vhost: String = "") -> String {
        "amqp://\(user):\(user)@127.0.0.1:\(port)/\(vhost)"
    }

    /// With `query` for what else TLS needs: `&certfile=…&keyfile=…`.
    func tlsURL(host: String = "localhost", ca: String? = "ca", client: String? = "client") -> String {
        var query: [String] = []
        if let ca { query.append("cacertfile=\(folder.path)/\(ca).pem") }
        if let client { query.append("certfile=\(folder.path)/\(client).pem&keyfile=\(folder.path)/\(client).key") }
        return "amqps://guest:guest@\(host):\(tlsPort)/?" + query.joined(separator: "&")
    }

    func start() async throws {
        guard let server = Self.server else { throw Failure("there is no rabbitmq-server") }
        children.append(
            try spawn(
                ["/usr/bin/env", "epmd", "-address", "127.0.0.1", "-port", "\(epmdPort)"], environment, folder,
                "epmd.log"))
        let process = try spawn([server], environment, folder, "server.log")
        children.append(process)
        _ = try await eventually("the private RabbitMQ", within: .seconds(120)) {
            guard kill(process, 0) == 0, waitpid(process, nil, WNOHANG) == 0 else {
                throw Failure("rabbitmq-server ended: \(folder.read("server.log"))")
            }
            // The listener with TLS comes after the other.
            return answersAMQP(port) && laterPorts.allSatisfy(isListening) ? true : nil
        }
    }

    func stop() {
        for child in children.reversed() { end(child) }
        children = []
    }

    /// What `rabbitmqctl` says.
    @discardableResult
    func control(_ arguments: String...) async throws -> String {
        guard let control = Self.control else { throw Failure("there is no rabbitmqctl") }
        return try await run([control, "--node", node, "--quiet"] + arguments, environment, in: folder)
    }
}

extension PrivateRabbitMQ {
    /// The broker's own process, which its start script has started.
    func process() async throws -> pid_t {
        let text = try await control("eval", "os:getpid().")
        guard let process = pid_t(text.filter(\.isNumber)) else { throw Failure("no process in \(text)") }
        return process
    }
}

/// A Redis of a suite's own, in memory.
final class PrivateRedis: Sendable {
    static let server = ["/usr/bin", "/usr/local/bin"].map { $0 + "/redis-server" }.first { access($0, X_OK) == 0 }

    let port: UInt16
    private let folder: Folder
    private let process: pid_t

    /// - Parameter options: as on redis-server's command line.
    init(_ options: String...) async throws {
        guard let server = Self.server else { throw Failure("there is no redis-server") }
        folder = try Folder()
        port = try closedPort()
        let words =
            [
                server, "--bind", "127.0.0.1", "--port", "\(port)", "--dir", folder.path, "--save", "", "--appendonly",
                "no",
            ] + options
        process = try spawn(words, ["PATH": "/usr/bin:/bin"], folder, "server.log")
        let process = process
        _ = try await eventually("the private Redis") {
            guard waitpid(process, nil, WNOHANG) == 0 else {
                throw Failure("redis-server ended: \(folder.read("server.log"))")
            }
            return isListening(port) ? true : nil
        }
    }

    deinit { end(process) }

    /// - Parameter user: name and password, the same word in the development file.
    func url(_ user: String? = nil) -> String {
        "redis://\(user.map { "\($0):\($0)@" } ?? "")127.0.0.1:\(port)/0"
    }
}

/// Gives a suite a broker of its own, which its tests find in `PrivateRabbitMQ.current`.
struct PrivateRabbitMQTrait: SuiteTrait, TestScoping {
    var definitions: String?
    var tls = false

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        let broker = try await PrivateRabbitMQ(definitions: definitions, tls: tls)
        defer { broker.stop() }
        try await broker.start()
        try await PrivateRabbitMQ.$current.withValue(broker) { try await function() }
    }
}

extension Trait where Self == PrivateRabbitMQTrait {
    static func privateRabbitMQ(definitions: String? = nil, tls: Bool = false) -> Self {
        PrivateRabbitMQTrait(definitions: definitions, tls: tls)
    }
}

/// A path inside the checkout.
func checkout(_ path: String) -> String {
    let tests = #filePath.split(separator: "/").dropLast(3)
    return "/" + tests.joined(separator: "/") + "/" + path
}

/// `ca` and `other` (authorities), `server` and `client` signed by `ca`, `expired` signed by `ca` and over since
/// the second in which it was made; all servers are `localhost`.
private func makeCertificates(in folder: Folder) async throws {
    let script = """
        set -e
        cd \(folder.path)
        ca() {
          openssl req -x509 -newkey rsa:2048 -nodes -keyout $1.key -out $1.pem -days 2 -subj "/CN=$1" \
            -addext basicConstraints=critical,CA:TRUE
        }
        leaf() {
          openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -subj "/CN=$1"
          printf 'subjectAltName=DNS:localhost\\n' > $1.ext
          openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.pem -days $2 -extfile $1.ext
        }
        ca ca; ca other; leaf server 2; leaf client 2; leaf expired 0
        """
    try await run(
        ["/bin/bash", "-c", script], ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder.path], in: folder)
}

/// Runs to the end.
/// - Returns: what it printed.
@discardableResult
func run(_ words: [String], _ environment: [String: String], in folder: Folder) async throws -> String {
    let log = unique()
    let process = try spawn(words, environment, folder, log)
    defer { folder.remove(log) }
    let status: Int32 = try await eventually("the end of \(words[0])", within: .seconds(90)) {
        var status: Int32 = 0
        return waitpid(process, &status, WNOHANG) == process ? status : nil
    }
    guard status == 0 else { throw Failure("\(words.joined(separator: " ")): \(folder.read(log))") }
    return folder.read(log)
}

/// Starts a process; `end` is for those that are servers.
/// - Parameters:
///   - log: a file in `folder` for all output.
///   - input: a descriptor to read from instead of nothing.
func spawn(
    _ words: [String], _ environment: [String: String], _ folder: Folder, _ log: String, input: Int32? = nil
) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let input {
        posix_spawn_file_actions_adddup2(&actions, input, 0)
    } else {
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    posix_spawn_file_actions_addopen(&actions, 1, "\(folder.path)/\(log)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // The threads that tests run on block most signals, which a child would inherit.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in arguments + variables { free(pointer) } }
    var process: pid_t = 0
    let status = posix_spawn(&process, words[0], &actions, &attributes, &arguments, &variables)
    guard status == 0 else { throw Failure("\(words[0]) cannot be run: \(String(cString: strerror(status)))") }
    return process
}

/// Kills a process and those it started: a server's script has the server as its child.
func end(_ process: pid_t) {
    var all = [process]
    var next = 0
    while next < all.count {
        let path = "/proc/\(all[next])/task/\(all[next])/children"
        next += 1
        guard let file = fopen(path, "r") else { continue }
        var child: pid_t = 0
        while withUnsafeMutablePointer(to: &child, { withVaList([$0]) { vfscanf(file, "%d", $0) } }) == 1 {
            all.append(child)
        }
        fclose(file)
    }
    for one in all { kill(one, SIGKILL) }
    waitpid(process, nil, 0)
}

func isListening(_ port: UInt16) -> Bool { exchange([], with: port) != nil }

/// The broker's first frame is a method frame: a byte 1.
private func answersAMQP(_ port: UInt16) -> Bool {
    exchange([0x41, 0x4D, 0x51, 0x50, 0, 0, 9, 1], with: port)?.first == 1
}

/// Connects and sends; nil when nobody accepts, else the first bytes of an answer (none when nothing was sent).
private func exchange(_ bytes: [UInt8], with port: UInt16) -> [UInt8]? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    var limit = timeval(tv_sec: 2, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = loopback(port)
    let connected = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard connected == 0 else { return nil }
    guard !bytes.isEmpty else { return [] }
    var answer = [UInt8](repeating: 0, count: 64)
    guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count,
        case let count = recv(descriptor, &answer, answer.count, 0), count > 0
    else { return [] }
    return Array(answer[..<count])
}
