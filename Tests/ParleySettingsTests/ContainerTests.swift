import Foundation
import ParleySettings
import Testing
import Yams

/// What docker/ ships: nobody can run it everywhere, so what it promises is read from it.
@Suite struct ContainerTests {
    private static func file(_ path: String) throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    private typealias Mapping = [String: Any]

    private let services: [String: [String: Any]]
    private let compose: [String: Any]

    init() throws {
        compose = try #require(try Yams.load(yaml: Self.file("docker/compose.yaml")) as? Mapping)
        services = try #require(compose["services"] as? [String: Mapping])
    }

    private func texts(_ service: String, _ key: String) -> [String] { services[service]?[key] as? [String] ?? [] }

    @Test func everyContainerIsConfined() throws {
        #expect(services.keys.sorted() == ["ask", "chroma", "ingest", "operator", "rabbitmq", "redis", "worker"])
        for (name, service) in services {
            #expect(service["read_only"] as? Bool == true, "\(name)")
            #expect(service["cap_drop"] as? [String] == ["ALL"] && service["cap_add"] == nil, "\(name)")
            #expect(service["security_opt"] as? [String] == ["no-new-privileges:true"], "\(name)")
            #expect(service["privileged"] == nil && service["network_mode"] == nil && service["pid"] == nil, "\(name)")
            let limits = ((service["deploy"] as? Mapping)?["resources"] as? Mapping)?["limits"] as? Mapping
            for limit in ["cpus", "memory", "pids"] { #expect(limits?[limit] != nil, "\(name) \(limit)") }
            let log = (service["logging"] as? Mapping)?["options"] as? Mapping
            #expect(log?["max-size"] != nil && log?["max-file"] != nil, "\(name)")
            // Chroma's image has no other user.
            guard name != "chroma" else { continue }
            let user = try #require(service["user"] as? String, "\(name)")
            let ids = user.split(separator: ":").compactMap { Int($0) }
            #expect(ids.count == 2 && ids.allSatisfy { $0 > 0 }, "\(name) \(user)")
        }
        for server in ["rabbitmq", "redis", "chroma"] {
            #expect((services[server]?["healthcheck"] as? Mapping)?["test"] != nil, "\(server)")
        }
    }

    @Test func aWorkersContainerHoldsTheLargestJobsThatItTakes() async throws {
        let limits = ((services["worker"]?["deploy"] as? Mapping)?["resources"] as? Mapping)?["limits"] as? Mapping
        let memory = try #require(
            (limits?["memory"] as? String).flatMap { Quantity.size($0.replacing("M", with: "MiB")) })
        let settings = try await Settings.load(file: nil, environment: [:], overrides: [], others: { _ in [] })
        #expect(settings.memoryOddity(memory) == nil)
        #expect(settings.memoryOddity(memory / 2) != nil)
    }

    @Test func eachReachesWhatItNeedsAndNoMore() throws {
        let networks = try #require(compose["networks"] as? Mapping)
        for name in ["store", "knowledge"] { #expect((networks[name] as? Mapping)?["internal"] as? Bool == true) }
        let reached: [String: Set<String>] = [
            "rabbitmq": ["broker"], "redis": ["store"], "chroma": ["knowledge"],
            "worker": ["broker", "store", "knowledge", "outside"], "ingest": ["knowledge", "outside"],
            "ask": ["broker", "store"], "operator": ["broker", "store"],
        ]
        for name in services.keys { #expect(Set(texts(name, "networks")) == reached[name], "\(name)") }
        for name in services.keys where name != "rabbitmq" { #expect(services[name]?["ports"] == nil, "\(name)") }
        #expect(texts("rabbitmq", "ports").allSatisfy { $0.hasPrefix("127.0.0.1:") })
        for name in services.keys {
            #expect((services[name]?["extra_hosts"] != nil) == ["worker", "ingest"].contains(name), "\(name)")
        }
    }

    @Test func secretsAreFilesAndEachSeesItsOwn() throws {
        let own: [String: Set<String>] = [
            "worker": ["parley.rabbitmq_url", "parley.redis_url", "model.api_key", "embeddings.api_key"],
            "ingest": ["embeddings.api_key"], "ask": ["producer.rabbitmq_url", "producer.redis_url"],
            "operator": ["operator.rabbitmq_url", "operator.redis_url"],
        ]
        for (name, secrets) in own { #expect(Set(texts(name, "secrets")) == secrets, "\(name)") }
        let declared = try #require(compose["secrets"] as? [String: Mapping])
        let make = try Self.file("docker/secrets/make")
        for (name, secret) in declared {
            let path = try #require(secret["file"] as? String)
            #expect(path.hasPrefix("./secrets/"))
            // Written by the script under this name, a user's under the user's.
            let ending = name.split(separator: ".").last.map { ".\($0)" } ?? name
            #expect(make.contains("/\(path.dropFirst(10))\"") || make.contains("\(ending)\""), "\(name)")
        }
        #expect(try Self.file("docker/secrets/.gitignore").hasPrefix("*\n"))
        // A build sees what it is made of, and no secrets.
        let ignored = try Self.file("docker/Dockerfile.dockerignore").split(separator: "\n")
        #expect(ignored.first == "*" && !ignored.contains { $0.hasPrefix("!docker") })
        // No password in the environment.
        for (name, service) in services {
            for (key, value) in service["environment"] as? [String: String] ?? [:] {
                let isSecret = ["PASSWORD", "TOKEN", "KEY"].contains { key.hasSuffix($0) } || value.contains("@")
                #expect(!isSecret, "\(name) \(key)")
            }
        }
    }

    @Test func everyVariableIsASetting() throws {
        let known = Set(Settings.keys.map { "PARLEY_" + $0.uppercased().replacing(".", with: "_") })
        var named: Set<String> = []
        for service in services.values { named.formUnion((service["environment"] as? Mapping ?? [:]).keys) }
        for line in try Self.file("docker/Dockerfile").split(separator: "\n") where line.hasPrefix("ENV PARLEY_") {
            named.insert(String(line.dropFirst(4).prefix { $0 != "=" }))
        }
        named.remove("ANONYMIZED_TELEMETRY")
        named.remove("PARLEY_CONFIG")
        #expect(named.count > 10 && named.isSubset(of: known), "\(named.subtracting(known))")
    }

    /// `docker/pin` writes the digests of those tags that compose and the image name.
    @Test func theTagsThatArePinnedAreThoseInUse() throws {
        let texts = try Self.file("docker/compose.yaml") + Self.file("docker/Dockerfile")
        let pairs = try Self.file("docker/pin").split(whereSeparator: { $0 == " " || $0 == "\n" || $0 == ";" })
            .filter { $0.contains("_IMAGE=") && !$0.contains("$") }
        #expect(pairs.count == 5)
        for pair in pairs {
            let parts = pair.split(separator: "=")
            let (name, image) = (parts[0], parts[1])
            #expect(
                texts.contains("${\(name):-\(image)}") || texts.contains("ARG \(name)=\(image)\n"), "\(name) \(image)")
            #expect(image.contains(":") && !image.hasSuffix(":latest"))
        }
        for text in texts.matches(of: /\$\{([A-Z_]+_IMAGE)/) { #expect(pairs.contains { $0.hasPrefix("\(text.1)=") }) }
    }

    @Test func theImageRunsAsANumberedUser() throws {
        let file = try Self.file("docker/Dockerfile")
        let last = try #require(file.components(separatedBy: "\nFROM ").last)
        #expect(last.contains("\nUSER 10001:10001\n") && last.contains("HEALTHCHECK"))
        #expect(file.contains("--force-resolved-versions"))
        #expect(services["worker"]?["user"] as? String == "10001:10001")
    }
}
