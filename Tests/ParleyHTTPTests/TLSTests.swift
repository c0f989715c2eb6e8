import Foundation
import ParleyHTTP
import Testing

import func TestSupport.freePort

/// A certificate authority of our own and a certificate for `localhost` and 127.0.0.1, made by the `openssl` program.
struct Certificates {
    let folder: URL
    var authority: String { folder.appending(path: "ca.pem").path }
    var certificate: String { folder.appending(path: "server.pem").path }
    var key: String { folder.appending(path: "server.key").path }

    init(openssl: String) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "http-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let names = folder.appending(path: "names.txt")
        try Data("subjectAltName=DNS:localhost,IP:127.0.0.1\n".utf8).write(to: names)
        func run(_ arguments: String) throws {
            let words = arguments.split(separator: " ").map { String($0).replacing("@", with: folder.path + "/") }
            try Program(openssl, words).wait()
        }
        let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        try run("req -x509 \(new) -keyout @ca.key -out @ca.pem -days 2 -subj /CN=Test-CA")
        try run("req \(new) -keyout @server.key -out @server.csr -subj /CN=localhost")
        try run(
            "x509 -req -in @server.csr -CA @ca.pem -CAkey @ca.key -CAcreateserial -out @server.pem -days 2 -extfile @names.txt"
        )
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }
}

@Suite("HTTP over TLS", .enabled(if: Program.find("openssl") != nil, "needs the openssl program"), .serialized)
struct TLSTests {
    private func request(_ url: String) -> HTTPRequest { HTTPRequest(url: url, timeouts: .init(total: .seconds(20))) }

    @Test func verifiesTheServer() async throws {
        let openssl = try #require(Program.find("openssl"))
        let certificates = try Certificates(openssl: openssl)
        defer { certificates.remove() }
        let port = try freePort()
        let server = try Program(
            openssl,
            [
                "s_server", "-www", "-accept", "127.0.0.1:\(port)", "-cert", certificates.certificate, "-key",
                certificates.key,
            ])
        defer { server.stop() }
        let url = "https://127.0.0.1:\(port)/"

        try await withClient(.init(caFile: certificates.authority)) { client in
            #expect(await eventually { (try? await client.send(request(url)))?.status == 200 })
        }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in try await client.send(request(url)) }
            #expect(error?.code == .tlsFailed)
            #expect(error?.message.contains("CA file") == true)
        }
        try await withClient(.init(verifyTLS: false)) { client in
            let answer = try await client.send(request(url))
            #expect(answer.status == 200)
        }
        try await withClient(.init(caFile: "/does/not/exist.pem")) { client in
            let error = await failure { () async throws(HTTPError) in try await client.send(request(url)) }
            #expect(error?.code == .tlsFailed)
            #expect(error?.message.contains("/does/not/exist.pem") == true)
        }
        let plain = try TestServer.answering("not TLS")
        defer { plain.stop() }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in
                try await client.send(request("https://127.0.0.1:\(plain.port)/"))
            }
            #expect(error?.code == .tlsFailed)
            // The request follows the handshake: none, no request.
            #expect(error?.wasSent == false && error?.isUnreachable == true)
        }
    }

    @Test(
        .enabled(if: Program.find("nghttpd") != nil, "needs nghttpd (Debian: nghttp2-server), or PARLEY_TEST_NGHTTPD"))
    func manyRequestsShareOneHTTP2Connection() async throws {
        let openssl = try #require(Program.find("openssl"))
        let nghttpd = try #require(Program.find("nghttpd"))
        let certificates = try Certificates(openssl: openssl)
        defer { certificates.remove() }
        try Data(repeating: 65, count: 50_000).write(to: certificates.folder.appending(path: "file.txt"))
        let port = try freePort()
        let server = try Program(
            nghttpd,
            ["-a", "127.0.0.1", "-d", certificates.folder.path, "\(port)", certificates.key, certificates.certificate])
        defer { server.stop() }
        let url = "https://127.0.0.1:\(port)/file.txt"

        for size in [4, 40] {
            try Data(repeating: 66, count: size << 20).write(to: certificates.folder.appending(path: "\(size).bin"))
        }
        try await withClient(.init(maxConnectionsPerHost: 1, receiveBuffer: 4096, caFile: certificates.authority)) {
            client in
            #expect(await eventually { (try? await client.send(request(url)))?.status == 200 })
            // Handles of the first burst are used again by the others.
            for _ in 0..<4 {
                try await withThrowingTaskGroup(of: HTTPResponse.self) { group in
                    for _ in 0..<250 { group.addTask { try await client.send(request(url)) } }
                    for try await answer in group {
                        #expect(answer.version == .http2)
                        #expect(answer.body == [UInt8](repeating: 65, count: 50_000))
                    }
                }
            }
            let answer = try await client.stream(request(url))
            #expect(answer.version == .http2)
            let body = try await answer.collect(upTo: 50_000)
            #expect(body.count == 50_000)

            // A stream whose reader lets it wait goes on arriving, or it would be before the others of its connection.
            let unread = try await client.stream(request("https://127.0.0.1:\(port)/4.bin"))
            #expect(await eventually { await client.inFlight == 0 })
            let beside = try await client.send(request(url))
            #expect(beside.body.count == 50_000)
            let late = try await unread.collect(upTo: 4 << 20)
            #expect(late.count == 4 << 20)
            // But not more and more.
            let long = try await client.stream(request("https://127.0.0.1:\(port)/40.bin"))
            #expect(await eventually { await client.inFlight == 0 })
            let behind = await failure { () async throws(HTTPError) in try await long.collect(upTo: 40 << 20) }
            #expect(behind?.code == .tooLarge)
            #expect(behind?.message.contains("reader") == true)
        }
    }
}
