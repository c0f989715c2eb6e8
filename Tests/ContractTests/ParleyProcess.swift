import Glibc
import IOLoop
import ParleyJSON
import TestSupport

/// The built program, running.
final class ParleyProcess: Sendable {
    let pid: pid_t
    private let folder: Folder

    /// - Parameters:
    ///   - settings: become `--set key=value`; the servers' addresses are added.
    ///   - environment: added to the test's own.
    ///   - standardError: a descriptor for it, instead of what ``errors`` reads.
    init(
        _ arguments: [String], settings: [String: String] = [:], environment: [String: String] = [:],
        input: String = "", standardError: Int32? = nil
    ) throws {
        guard let binary = Surroundings.binary, let rabbitMQ = Surroundings.rabbitMQ, let redis = Surroundings.redis
        else { throw Failure("there is no program to run") }
        folder = try Folder()
        try folder.write("input", input)
        var all = ["rabbitmq.url": rabbitMQ, "redis.url": redis]
        all.merge(settings) { $1 }
        var words = [binary] + arguments
        for (key, value) in all.sorted(by: { $0.key < $1.key }) where !value.isEmpty {
            words += ["--set", "\(key)=\(value)"]
        }
        var variables: [String] = environment.map { "\($0.key)=\($0.value)" }
        var inherited = environ
        while let entry = inherited.pointee {
            let text = String(cString: entry)
            if !text.hasPrefix("PARLEY_"), !text.hasPrefix("OPENAI_") { variables.append(text) }
            inherited += 1
        }
        pid = try Self.spawn(words, variables, in: folder.path, standardError)
    }

    deinit {
        // The process is gone already unless the test failed half-way.
        if kill(pid, SIGKILL) == 0 { waitpid(pid, nil, 0) }
    }

    private static func spawn(
        _ words: [String], _ variables: [String], in folder: String, _ standardError: Int32?
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "\(folder)/input", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "\(folder)/output", O_WRONLY | O_CREAT, 0o600)
        if let standardError {
            posix_spawn_file_actions_adddup2(&actions, standardError, 2)
        } else {
            posix_spawn_file_actions_addopen(&actions, 2, "\(folder)/errors", O_WRONLY | O_CREAT, 0o600)
        }
        // In a folder of its own: no config file and no index lie about there.
        let shell = ["/bin/sh", "-c", #"cd "$0" && exec "$@""#, folder] + words
        var arguments: [UnsafeMutablePointer<CChar>?] = shell.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
        defer { for pointer in arguments + environment { free(pointer) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, shell[0], &actions, nil, &arguments, &environment)
        guard status == 0 else { throw Failure("\(words[0]) cannot be run: \(String(cString: strerror(status)))") }
        return pid
    }

    var output: String { folder.read("output") }
    var errors: String { folder.read("errors") }

    func signal(_ number: Int32) { kill(pid, number) }

    /// The exit status; 128 + number for a signal.
    ///
    /// - Throws: ``Failure`` with what the process has said so far.
    func exitStatus(within limit: Duration = .seconds(180)) async throws -> Int32 {
        do {
            return try await eventually("the end of the process", within: limit) {
                var status: Int32 = 0
                guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
                return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
            }
        } catch { throw Failure("\(error); it said: \(output)\(errors)") }
    }
}

/// What a command came to.
struct Outcome {
    let status: Int32
    let output: String
    let errors: String

    /// Each line of the output, which is to be JSON.
    var lines: [JSONElement] {
        get throws { try output.split(separator: "\n").map { try JSONDocument(Array($0.utf8)).root } }
    }
}

/// Runs a command to its end.
func parley(
    _ arguments: String..., settings: [String: String] = [:], environment: [String: String] = [:], input: String = ""
) async throws -> Outcome {
    let process = try ParleyProcess(arguments, settings: settings, environment: environment, input: input)
    let status = try await process.exitStatus()
    return Outcome(status: status, output: process.output, errors: process.errors)
}

/// A worker with a queue of its own, that answers with the question unless told otherwise.
struct Worker {
    let queue: String
    let process: ParleyProcess

    /// Starts a worker, and by default waits until it is ready.
    static func start(
        queue: String = "contract.\(unique())", _ settings: [String: String] = [:], ready: Bool = true
    ) async throws -> Worker {
        var all = [
            "queue.name": queue, "admin.listen": "127.0.0.1:0", "model.url": "builtin:echo", "retrieval.mode": "never",
            // Most tests ask the same again and again, and want it answered each time.
            "cache.memory": "0", "cache.ttl": "0s",
        ]
        all.merge(settings) { $1 }
        let worker = Worker(queue: queue, process: try ParleyProcess(["worker"], settings: all))
        if ready { try await worker.untilReady() }
        return worker
    }

    var log: String { process.output + process.errors }
    var dead: String { queue + ".dead" }

    func untilReady() async throws {
        let port = try await adminPort
        _ = try await eventually("readiness") { try await get("/readyz", port)?.status == 200 ? true : nil }
    }

    /// The port that the kernel chose, as the log tells it.
    var adminPort: UInt16 {
        get async throws {
            try await eventually("the admin port") {
                log.split(separator: "\n").lazy
                    .compactMap { try? JSONDocument(Array($0.utf8)).root }
                    .first { $0["message"]?.string == "admin listening" }
                    .flatMap { $0["port"]?.string }.flatMap(UInt16.init)
            }
        }
    }

    /// - Parameter token: sent as bearer token.
    func get(_ path: String, token: String? = nil) async throws -> (status: Int, body: String) {
        let port = try await adminPort
        return try await eventually("\(path)") { try await get(path, port, token: token) }
    }

    private func get(_ path: String, _ port: UInt16, token: String? = nil) async throws -> (status: Int, body: String)?
    {
        try await offload("probe") { httpGet(path, port, token) }
    }

    /// The sample of a metric, labels included in `name`; nil when there is none.
    func metric(_ name: String) async throws -> Double? {
        try await get("/metrics").body.split(separator: "\n")
            .first { $0.hasPrefix(name + " ") }
            .flatMap { Double($0.dropFirst(name.utf8.count + 1)) }
    }

    /// Asks the worker to end, and gives its exit status.
    @discardableResult
    func stop(_ signal: Int32 = SIGTERM) async throws -> Int32 {
        process.signal(signal)
        return try await process.exitStatus()
    }
}

/// A blocking GET on loopback; nil when nobody answers.
private func httpGet(_ path: String, _ port: UInt16, _ token: String?) -> (status: Int, body: String)? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = loopback(port)
    let connected = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    let authorization = token.map { "authorization: Bearer \($0)\r\n" } ?? ""
    let request = Array("GET \(path) HTTP/1.1\r\nhost: x\r\n\(authorization)connection: close\r\n\r\n".utf8)
    guard connected == 0, send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
        return nil
    }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 { answer += buffer[..<count] }
    guard let end = answer.firstRange(of: Array("\r\n\r\n".utf8)),
        let status = String(decoding: answer.prefix(16), as: UTF8.self).split(separator: " ").dropFirst().first,
        let number = Int(status)
    else { return nil }
    return (number, String(decoding: answer[end.upperBound...], as: UTF8.self))
}
