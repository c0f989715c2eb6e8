import Foundation
import ParleyRedis
import TestSupport
import Testing

/// Runs where the library was built against a hiredis with TLS and redis-server has TLS too.
@Suite(.enabled(if: RedisConfiguration.supportsTLS && PrivateRedis.isAvailable && Certificates.openssl != nil))
struct RedisTLSTests {
    @Test func aVerifiedServerIsSpokenToAndOthersAreNot() async throws {
        let certificates = try await Certificates()
        let tlsPort = try freePort()
        let server = try await PrivateRedis(options: [
            "--tls-port", "\(tlsPort)", "--tls-cert-file", certificates.certificate, "--tls-key-file",
            certificates.key, "--tls-ca-cert-file", certificates.certificate, "--tls-auth-clients", "no",
        ])
        let trust: @Sendable (inout RedisConfiguration) -> Void = {
            $0.certificateAuthorityFile = certificates.certificate
        }
        try await withClient("rediss://localhost:\(tlsPort)", adjust: trust) { client in
            try await client.connect()
            let value = [UInt8](repeating: 0xfe, count: 20 << 20)
            #expect(try await client.send(RedisCommand("SET", "big", value)) == .status("OK"))
            #expect(try await client.send(RedisCommand("GET", "big")) == .bytes(value))
            let replies = try await client.send((0..<10_000).map { RedisCommand("ECHO", $0) })
            #expect(replies.map(\.int) == Array(0..<10_000))
        }
        // The certificate names localhost, not the address.
        try await withClient("rediss://127.0.0.1:\(tlsPort)", adjust: trust) { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.message.contains("mismatch") == true, "\(error.map { "\($0)" } ?? "")")
        }
        try await withClient("rediss://localhost:\(tlsPort)") { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.code == .unreachable)
            #expect(error?.message.contains("self") == true, "\(error.map { "\($0)" } ?? "")")
        }
        // It waits for more of what it takes for a command.
        let impatient: (inout RedisConfiguration) -> Void = { $0.connectTimeout = .seconds(1) }
        try await withClient("rediss://localhost:\(server.port)", adjust: impatient) { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.code == .unreachable)
        }
    }
}

extension RedisTLSTests {
    @Test func aServerThatWantsACertificateGetsIt() async throws {
        let certificates = try await Certificates()
        let tlsPort = try freePort()
        let server = try await PrivateRedis(options: [
            "--tls-port", "\(tlsPort)", "--tls-cert-file", certificates.certificate, "--tls-key-file",
            certificates.key, "--tls-ca-cert-file", certificates.certificate, "--tls-auth-clients", "yes",
        ])
        defer { withExtendedLifetime(server) {} }
        let ca = "rediss://localhost:\(tlsPort)?cacertfile=\(certificates.certificate)"
        try await withClient("\(ca)&certfile=\(certificates.certificate)&keyfile=\(certificates.key)") { client in
            try await client.connect()
            #expect(try await client.send(RedisCommand("PING")) == .status("PONG"))
        }
        try await withClient(ca) { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.code == .unreachable)
            #expect(error?.message.contains("client's certificate") == true, "\(error.map { "\($0)" } ?? "")")
        }
    }

    @Test func filesThatAreNoneAreNamedWithTheReason() async throws {
        let certificates = try await Certificates()
        let (certificate, key) = (certificates.certificate, certificates.key)
        let other = try await Certificates()
        let tlsPort = try freePort()
        let server = try await PrivateRedis(options: [
            "--tls-port", "\(tlsPort)", "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file",
            certificate,
        ])
        defer { withExtendedLifetime(server) {} }
        let locked = try await certificates.keyWithPassphrase()
        for (query, names) in [
            ("cacertfile=\(key)", key), ("cacertfile=/no/such", "/no/such"),
            ("cacertfile=\(certificate)&certfile=\(key)&keyfile=\(key)", key),
            ("cacertfile=\(certificate)&certfile=\(certificate)&keyfile=\(other.key)", "mismatch"),
            ("cacertfile=\(certificate)&certfile=\(certificate)&keyfile=\(locked)", "passphrase"),
        ] {
            try await withClient("rediss://localhost:\(tlsPort)?\(query)") { client in
                let error = await #expect(throws: RedisError.self) { try await client.connect() }
                #expect(error?.message.contains(names) == true, "\(query): \(error.map { "\($0)" } ?? "")")
            }
        }
    }
}

/// A self-signed certificate for `localhost`, made for one test.
final class Certificates: Sendable {
    static let openssl = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }
    private let folder: URL
    let certificate: String
    let key: String

    deinit { try? FileManager.default.removeItem(at: folder) }

    init() async throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("redis-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        certificate = folder.appendingPathComponent("cert.pem").path
        key = folder.appendingPathComponent("key.pem").path
        try await Self.run([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate,
        ])
    }

    /// The key once more, encrypted.
    func keyWithPassphrase() async throws -> String {
        let locked = folder.appendingPathComponent("locked.pem").path
        try await Self.run(["rsa", "-aes256", "-passout", "pass:secret", "-in", key, "-out", locked])
        return locked
    }

    private static func run(_ arguments: [String]) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: openssl ?? "/usr/bin/openssl")
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        try await waitUntil("openssl ends") { !process.isRunning }
    }
}
