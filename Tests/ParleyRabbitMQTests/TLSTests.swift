import TestSupport
import Testing

@testable import ParleyRabbitMQ

@Suite(
    "TLS", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(2)), .privateRabbitMQ(tls: true))
struct TLSTests {
    private func open(_ host: String, _ change: (inout RabbitMQConfiguration.TLS) -> Void = { _ in }) async throws {
        let f = try Fixture()
        let directory = f.broker.folder.path
        var configuration = f.configuration
        var tls = RabbitMQConfiguration.TLS(
            caFile: directory + "/ca.pem", certificateFile: directory + "/client.pem",
            keyFile: directory + "/client.key")
        change(&tls)
        configuration.tls = tls
        configuration.endpoints = [.init(host: host, port: Int(f.broker.tlsPort))]
        let connection = try await RabbitMQConnection.open(configuration, loop: f.loop, logger: f.logger)
        let channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        try await connection.declare(QueueDeclaration(name: "tls"))
        let body = [UInt8](repeating: 7, count: 3 << 20)
        let outcome = try await connection.publish(OutgoingMessage(routingKey: "tls", body: body), channel: channel)
        #expect(outcome == .confirmed)
        #expect(try await connection.get("tls", noAck: true, channel: channel)?.body == body)
        await connection.close()
    }

    @Test("a verified broker and a client certificate work, for large messages too")
    func verified() async throws { try await open("localhost") }

    @Test("a host that the certificate does not name is refused, unless told otherwise")
    func hostName() async throws {
        _ = await expectError(.tlsFailed) { try await open("127.0.0.1") }
        try await open("127.0.0.1") { $0.verifyHostname = false }
    }

    @Test("an authority that is not trusted is refused, unless told otherwise")
    func authority() async throws {
        let broker = try #require(PrivateRabbitMQ.current)
        _ = await expectError(.tlsFailed) {
            try await open("localhost") { $0.caFile = broker.folder.path + "/other.pem" }
        }
        try await open("localhost") {
            $0.caFile = broker.folder.path + "/other.pem"
            $0.verifyPeer = false
        }
    }

    @Test("a missing client certificate and unreadable files are named")
    func clientCertificate() async throws {
        _ = await expectError(.tlsFailed) {
            try await open("localhost") {
                $0.certificateFile = nil
                $0.keyFile = nil
            }
        }
        let error = await expectError(.tlsFailed) { try await open("localhost") { $0.caFile = "/no/such/file.pem" } }
        #expect(error?.message.contains("/no/such/file.pem") == true)
    }
}
