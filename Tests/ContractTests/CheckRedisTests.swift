import ParleyRedis
import TestSupport
import Testing

/// `parley check` of a Redis that is set up as operators do it: a cluster, TLS, certificates for both sides.
@Suite("parley check of Redis", .enabled(if: Surroundings.areComplete && PrivateRedis.isAvailable))
struct CheckRedisTests {
    @Test(arguments: [true, false])
    func aClusterIsCalledOneWhoeverHasTheSlots(hasSlots: Bool) async throws {
        // Its second port would be 10,000 above the first, where the kernel gives ports to clients.
        let redis = try await PrivateRedis(options: ["--cluster-enabled", "yes", "--cluster-port", "\(try freePort())"])
        if hasSlots {
            try await withClient(redis.url()) { client in
                try await client.connect()
                #expect(try await client.send(RedisCommand("CLUSTER", "ADDSLOTSRANGE", 0, 16383)) == .status("OK"))
            }
        }
        let line = try await check(["redis.url": redis.url()], status: 2)
        #expect(line.hasPrefix("redis          wrong") && line.contains("is a Redis Cluster"), "\(line)")
    }

    /// What stand-ins say of scripts, and what is said of them: by `check`, and by a worker when it starts.
    @Test(arguments: [
        ("-ERR unknown command 'EVAL'\r\n", "scripts (EVAL) are not there"),
        ("-unsupported command 'eval'\r\n", "a proxy such as Envoy"),
        ("-ERR script tried accessing undeclared key\r\n", "allow-undeclared-keys"),
        ("$2\r\nno\r\n", "do not work as they do in Redis 7"),
    ])
    func aStandInWithoutRedissScriptsIsToldInOneSentence(answer: String, says: String) async throws {
        let redis = try ScriptedRedis(
            .serve { command in
                switch command.first?.uppercased() {
                case "PING": "+PONG\r\n"
                case "SET", "CLIENT", "SELECT": "+OK\r\n"
                case "MGET": "*2\r\n$2\r\n{}\r\n$-1\r\n"
                case "GET": "$-1\r\n"
                case "DEL": ":1\r\n"
                case "INFO": "$19\r\nredis_version:7.4.0\r\n"
                default: answer
                }
            })
        let line = try await check(["redis.url": redis.url], status: 2)
        #expect(line.hasPrefix("redis          wrong") && line.contains(says), "\(line)")
        let worker = try await Worker.start(["redis.url": redis.url], ready: false)
        let told = try await eventually("the worker's sentence") {
            let lines = worker.log.split(separator: "\n").filter { $0.contains("Redis is not what a worker needs") }
            return lines.isEmpty ? nil : lines
        }
        #expect(told.count == 1 && told.allSatisfy { $0.contains(says) && $0.contains("redis.url") }, "\(told)")
        try await worker.stop()
    }

    @Test(.enabled(if: !RedisConfiguration.supportsTLS))
    func aBuildWithoutTLSSaysWhatToInstall() async throws {
        let checked = try await parley("check", settings: ["redis.url": "rediss://localhost:6379"])
        #expect(checked.status == 2)
        #expect(checked.errors.contains("redis.url") && checked.errors.contains("hiredis"), "\(checked.errors)")
    }

    @Test(.enabled(if: RedisConfiguration.supportsTLS && canMakeCertificates))
    func aRedisThatWantsACertificateIsGivenOneInEitherWay() async throws {
        let (server, port, path) = try await redisWithTLS()
        defer { withExtendedLifetime(server) {} }
        let files = [
            "redis.ca_file": path + "/ca.pem", "redis.cert_file": path + "/client.pem",
            "redis.key_file": path + "/client.key",
        ]
        let url = "rediss://localhost:\(port)/0"
        let bySettings = try await check(files.merging(["redis.url": url]) { $1 }, status: 0)
        #expect(bySettings.hasPrefix("redis          ok"), "\(bySettings)")
        let query = "?cacertfile=\(path)/ca.pem&certfile=\(path)/client.pem&keyfile=\(path)/client.key"
        let byAddress = try await check(["redis.url": url + query], status: 0)
        #expect(byAddress.hasPrefix("redis          ok") && byAddress.contains("rediss://"), "\(byAddress)")
    }

    @Test(.enabled(if: RedisConfiguration.supportsTLS && canMakeCertificates))
    func whatIsWrongWithTLSIsSaidWithTheSettingsName() async throws {
        let (server, port, path) = try await redisWithTLS()
        defer { withExtendedLifetime(server) {} }
        let right = [
            "redis.url": "rediss://localhost:\(port)/0", "redis.ca_file": path + "/ca.pem",
            "redis.cert_file": path + "/client.pem", "redis.key_file": path + "/client.key",
        ]
        let wrong: [(change: [String: String], says: String)] = [
            (["redis.ca_file": path + "/other.pem"], "certificate"),
            (["redis.ca_file": path + "/none.pem"], path + "/none.pem"),
            (["redis.key_file": path + "/server.key"], "mismatch"),
            (["redis.cert_file": "", "redis.key_file": ""], "client's certificate"),
            (["redis.url": "rediss://127.0.0.1:\(port)/0"], "mismatch"),
        ]
        for (change, says) in wrong {
            let line = try await check(right.merging(change) { $1 }, status: nil)
            #expect(!line.hasPrefix("redis          ok"), "\(change): \(line)")
            #expect(line.contains(says) && line.contains("(redis."), "\(change): \(line)")
        }
    }

    /// A Redis with TLS, the port of that, and the folder of the certificates.
    private func redisWithTLS() async throws -> (PrivateRedis, UInt16, String) {
        let port = try freePort()
        let folder = try Folder()
        try await makeCertificates(in: folder)
        let path = folder.path
        let server = try await PrivateRedis(
            options: [
                "--tls-port", "\(port)", "--tls-cert-file", path + "/server.pem", "--tls-key-file",
                path + "/server.key", "--tls-ca-cert-file", path + "/ca.pem", "--tls-auth-clients", "yes",
            ], keeping: folder)
        return (server, port, path)
    }

    /// What `parley check` says of Redis.
    ///
    /// - Parameter status: how it must end; nil: not well.
    private func check(
        _ settings: [String: String], status: Int32?, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> Substring {
        let checked = try await parley("check", settings: settings)
        if let status {
            #expect(checked.status == status, "\(checked)", sourceLocation: sourceLocation)
        } else {
            #expect(checked.status != 0, "\(checked)", sourceLocation: sourceLocation)
        }
        // What can never do is a mistake of the configuration.
        return (checked.output + checked.errors).split(separator: "\n").first {
            $0.hasPrefix("redis") || $0.hasPrefix("parley: configuration: redis")
        } ?? ""
    }
}
