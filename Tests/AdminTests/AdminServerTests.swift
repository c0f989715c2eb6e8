import Glibc
import Logging
import Metrics
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import Admin

private struct ReadinessSource: Sendable {
    var ask: @Sendable () async -> Readiness = { Readiness() }

    init() {}
    init(_ ask: @escaping @Sendable () async -> Readiness) { self.ask = ask }
}

@Suite(.timeLimit(.minutes(1))) struct AdminServerTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs a server on a free port for as long as `body`, then shuts it down gracefully.
    private func withServer(
        registry: MetricsRegistry = MetricsRegistry(version: "0"), readiness: ReadinessSource = ReadinessSource(),
        token: String? = nil, headerLimit: Duration = .seconds(10),
        _ body: @Sendable (Int, ServiceGroup) async throws -> Void
    ) async throws {
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        let server = AdminServer(
            listen: .tcp(host: "127.0.0.1", port: 0), token: token, headerLimit: headerLimit, registry: registry,
            readiness: readiness.ask,
            logger: Self.quiet, onBound: { bound.yield($0) })
        let services = ServiceGroup(services: [server], logger: Self.quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await services.run() }
            for await port in ports {
                try await body(port, services)
                break
            }
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
        }
    }

    @Test func livezIsOk() async throws {
        try await withServer { port, _ in
            let answer = try await HTTPProbe.get("/livez", port: port)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.hasSuffix("\r\n\r\nok"))
        }
    }

    @Test func readyzNamesTheServices() async throws {
        let state = Mutex<Readiness>(Readiness(["rabbitmq": .ok, "redis": .ok]))
        try await withServer(readiness: ReadinessSource { state.withLock { $0 } }) { port, _ in
            let ready = try await HTTPProbe.get("/readyz?verbose", port: port)
            #expect(ready.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(ready.lowercased().contains("content-type: application/json"))
            #expect(ready.hasSuffix(#"{"ready":true,"services":{"rabbitmq":"ok","redis":"ok"}}"#))

            state.withLock { $0.set("model", .degraded("timing out")) }
            let degraded = try await HTTPProbe.get("/readyz", port: port)
            #expect(degraded.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(degraded.contains(#""model":"degraded: timing out""#))

            state.withLock { $0.set("redis", .failed("connection refused")) }
            let failed = try await HTTPProbe.get("/readyz", port: port)
            #expect(failed.hasPrefix("HTTP/1.1 503 "))
            #expect(failed.contains(#"{"ready":false,"services":{"rabbitmq":"ok","redis":"connection refused""#))
        }
    }

    @Test func metricsAreServedAsText() async throws {
        let registry = MetricsRegistry(version: "0")
        Counter(label: "parley_jobs_total", dimensions: [("status", "succeeded")], factory: registry).increment(by: 3)
        try await withServer(registry: registry) { port, _ in
            let answer = try await HTTPProbe.get("/metrics", port: port)
            #expect(answer.lowercased().contains("content-type: text/plain; version=0.0.4"))
            #expect(answer.contains("parley_jobs_total{status=\"succeeded\"} 3\n"))
        }
    }

    @Test func whatIsNotThereIs404AndWhatIsNotAllowedIs405() async throws {
        try await withServer { port, _ in
            #expect(try await HTTPProbe.get("/", port: port).hasPrefix("HTTP/1.1 404 "))
            #expect(try await HTTPProbe.get("/livez/x", port: port).hasPrefix("HTTP/1.1 404 "))
            let post = try await HTTPProbe.get("/livez", method: "POST", port: port)
            #expect(post.hasPrefix("HTTP/1.1 405 ") && post.contains("GET, HEAD"))
            let head = try await HTTPProbe.get("/livez", method: "HEAD", port: port)
            #expect(head.hasPrefix("HTTP/1.1 200 ") && head.hasSuffix("\r\n\r\n"))
        }
    }

    private static let badRequests = [
        "no HTTP": "nonsense\r\n\r\n",
        "a huge header": "GET /livez HTTP/1.1\r\nHost: x\r\nx: \(String(repeating: "y", count: 100_000))\r\n\r\n",
        "a negative length": "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "a NUL": "GET\0 / HTTP/9.9\r\n\r\n",
    ]

    @Test(arguments: badRequests.keys.sorted())
    func badRequestsLeaveTheServerServing(kind: String) async throws {
        let request = try #require(Self.badRequests[kind])
        try await withServer { port, _ in
            // The answer, or a connection reset while the rest of the request is on its way.
            _ = try? await HTTPProbe.send(request, port: port)
            let answer = try await HTTPProbe.get("/livez", port: port)
            #expect(answer.hasSuffix("ok"))
        }
    }

    @Test func manyAskAtOnce() async throws {
        try await withServer { port, _ in
            try await withThrowingTaskGroup(of: String.self) { group in
                // As many at a time as one address may have, and far less: the server counts one out after its client.
                for number in 0..<200 {
                    if number >= 8, let answer = try await group.next() { #expect(answer.hasPrefix("HTTP/1.1 200 ")) }
                    group.addTask { try await HTTPProbe.get("/metrics", port: port) }
                }
                for try await answer in group { #expect(answer.hasPrefix("HTTP/1.1 200 ")) }
            }
        }
    }

    @Test func aTokenIsNeededForAllButLivez() async throws {
        try await withServer(token: "sesame") { port, _ in
            #expect(try await HTTPProbe.get("/livez", port: port).hasSuffix("ok"))
            for path in ["/metrics", "/readyz"] {
                let refused = try await HTTPProbe.get(path, port: port)
                #expect(refused.hasPrefix("HTTP/1.1 401") && refused.lowercased().contains("www-authenticate: bearer"))
                func answer(_ header: String) async throws -> String {
                    try await HTTPProbe.send(
                        "GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: \(header)\r\n\r\n",
                        port: port)
                }
                for wrong in ["Bearer sesam", "Bearer sesame2", "sesame", "Basic sesame", "Bearer "] {
                    #expect(try await answer(wrong).hasPrefix("HTTP/1.1 401"), "\(wrong)")
                }
                #expect(try await answer("Bearer sesame").hasPrefix("HTTP/1.1 200"))
            }
        }
    }

    /// A byte now and then keeps no connection open.
    @Test func headersThatDoNotComeEndTheConnection() async throws {
        try await withServer(headerLimit: .milliseconds(300)) { port, _ in
            for beginning in ["", "GET /livez HTTP/1.1\r\nHost: x\r\n"] {
                let answer = try await HTTPProbe.send(beginning, port: port)
                #expect(answer.isEmpty, "\(answer)")
            }
            #expect(try await HTTPProbe.get("/livez", port: port).hasSuffix("ok"))
        }
    }

    @Test func oneAddressCannotTakeAllConnections() async throws {
        try await withServer { port, _ in
            let idle = try (0..<33).map { _ in try HTTPProbe.connect(port) }
            defer { for descriptor in idle { close(descriptor) } }
            var byte: UInt8 = 0
            // The last one is ended by the server: its read says so.
            #expect(read(idle[32], &byte, 1) <= 0)
        }
    }

    @Test func shutdownDoesNotWaitForIdleConnections() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        try await withServer { port, _ in
            let idle = try HTTPProbe.connect(port)
            let answer = try await HTTPProbe.get("/livez", port: port)
            #expect(answer.hasSuffix("ok"))
            _ = idle  // left open: the server closes its end
        }
        #expect(clock.now - start < .seconds(20))
    }

    @Test func aRequestInProgressIsAnsweredBeforeShutdown() async throws {
        let (asked, question) = AsyncStream.makeStream(of: Void.self)
        let (released, release) = AsyncStream.makeStream(of: Void.self)
        let slow = ReadinessSource {
            question.yield()
            for await _ in released { break }
            return Readiness(["rabbitmq": .ok])
        }
        try await withServer(readiness: slow) { port, services in
            async let answer = HTTPProbe.get("/readyz", port: port)
            for await _ in asked { break }
            await services.triggerGracefulShutdown()
            release.yield()
            let text = try await answer
            #expect(text.contains(#""ready":true"#))
        }
    }

    @Test func aPortInUseIsNamedWithWhatToDo() async throws {
        try await withServer { port, _ in
            let second = AdminServer(
                listen: .tcp(host: "127.0.0.1", port: port), registry: MetricsRegistry(version: "0"),
                readiness: { Readiness() }, logger: Self.quiet)
            let error = await #expect(throws: AdminError.self) { try await second.run() }
            #expect(error?.code == .addressInUse)
            #expect(error?.description.contains("127.0.0.1:\(port)") == true)
            #expect(error?.description.contains("admin.listen") == true)
        }
    }

    @Test func anAddressOfAnotherMachineCannotBeListenedOn() async {
        let server = AdminServer(
            listen: .tcp(host: "192.0.2.1", port: 0), registry: MetricsRegistry(version: "0"),
            readiness: { Readiness() }, logger: Self.quiet)
        let error = await #expect(throws: AdminError.self) { try await server.run() }
        #expect(error?.code == .cannotListen)
    }

    @Test func cancellationEndsIt() async throws {
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        let server = AdminServer(
            listen: .tcp(host: "127.0.0.1", port: 0), registry: MetricsRegistry(version: "0"),
            readiness: { Readiness() }, logger: Self.quiet, onBound: { bound.yield($0) })
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await server.run() }
            for await _ in ports { break }
            group.cancelAll()
        }
    }

    @Test func offServesNothingAndStillEnds() async throws {
        let server = AdminServer(
            listen: .off, registry: MetricsRegistry(version: "0"), readiness: { Readiness() }, logger: Self.quiet)
        let services = ServiceGroup(services: [server], logger: Self.quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await services.run() }
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
        }
    }
}
