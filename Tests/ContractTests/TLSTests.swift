import Glibc
import TestSupport
import Testing

/// `amqps` as an operator sets it up: the program against a broker that wants a certificate of its clients.
@Suite("TLS", .enabled(if: Surroundings.areComplete && PrivateRabbitMQ.isInstalled), .privateRabbitMQ(tls: true))
struct TLSTests {
    let broker: PrivateRabbitMQ

    init() throws { broker = try #require(PrivateRabbitMQ.current) }

    @Test func aVerifiedBrokerAndAClientCertificateWork() async throws {
        let settings = ["rabbitmq.url": broker.tlsURL()]
        #expect(try await parley("check", settings: settings).status == 0)
        let worker = try await Worker.start(settings)
        let asked = try await parley(
            "ask", "Is anybody there?", "--json", settings: settings.merging(["queue.name": worker.queue]) { $1 })
        #expect(asked.status == 0, "\(asked.errors)")
        #expect(try asked.lines.last?["answer"]?.string == "Is anybody there?")
        #expect(worker.log.contains("amqps://"))
        #expect(try await worker.stop() == 0)
    }

    @Test func aHostThatTheCertificateDoesNotNameIsRefused() async throws {
        try await expectRefusal(of: broker.tlsURL(host: "127.0.0.1"), saying: "does not name 127.0.0.1")
    }

    @Test func anUnknownAuthorityIsRefused() async throws {
        try await expectRefusal(of: broker.tlsURL(ca: "other"), saying: "trusted authority")
    }

    @Test func theBrokerIsVerifiedUnlessToldOtherwise() async throws {
        // Without cacertfile the system's authorities count, and none of them knows this broker.
        let url = broker.tlsURL(ca: nil)
        try await expectRefusal(of: url, saying: "trusted authority")
        let careless = try await parley("check", settings: ["rabbitmq.url": url + "&verify=verify_none"])
        #expect(careless.status == 0, "\(careless.output)")
    }

    @Test func aClientWithoutACertificateIsToldSo() async throws {
        try await expectRefusal(of: broker.tlsURL(client: nil), saying: "client certificate")
    }

    @Test func anExpiredCertificateIsRefused() async throws {
        let port = try freePort()
        let path = broker.folder.path
        let server = try spawn(
            [
                "/usr/bin/env", "openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-cert", path + "/expired.pem",
                "-key", path + "/expired.key", "-www",
            ], ["PATH": "/usr/local/bin:/usr/bin:/bin"], broker.folder, "s_server.log")
        defer { end(server) }
        _ = try await eventually("openssl s_server") { isListening(port) ? true : nil }
        let url = "amqps://guest:guest@localhost:\(port)/?cacertfile=\(path)/ca.pem"
        try await expectRefusal(of: url, saying: "has expired")
    }

    @Test func aWorkerThatIsRefusedSaysSoOnceAndKeepsTrying() async throws {
        let worker = try await Worker.start(["rabbitmq.url": broker.tlsURL(host: "127.0.0.1")], ready: false)
        _ = try await eventually("the third attempt") {
            try await worker.metric(#"parley_disconnects_total{service="rabbitmq.consumer"}"#) ?? 0 >= 3 ? true : nil
        }
        let lines = worker.log.split(separator: "\n").filter { $0.contains("does not name 127.0.0.1") }
        #expect(lines.count == 1 && lines.first?.contains("rabbitmq.url") == true, "\(lines)")
        #expect(try await worker.get("/readyz").status == 503)
        #expect(try await worker.stop() == 0)
    }

    /// A server that answers and is not trusted: status 2, and the sentence says what is wrong and where to set it.
    private func expectRefusal(
        of url: String, saying text: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let checked = try await parley("check", settings: ["rabbitmq.url": url])
        #expect(checked.status == 2, "\(checked.output)", sourceLocation: sourceLocation)
        let line = checked.output.split(separator: "\n").first { $0.hasPrefix("rabbitmq") } ?? ""
        #expect(line.contains(text) && line.contains("rabbitmq.url"), "\(line)", sourceLocation: sourceLocation)
        let asked = try await parley("ask", "x", settings: ["rabbitmq.url": url])
        #expect(asked.status != 0 && asked.output.isEmpty, "\(asked)", sourceLocation: sourceLocation)
    }
}
