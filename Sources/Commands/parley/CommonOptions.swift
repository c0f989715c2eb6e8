import ArgumentParser
import ChatJobs
import Foundation
import Logging
import ParleyClient
import ParleyRabbitMQ
import ParleyRedis
import ParleySettings
import Telemetry
import Topology
import Worker

/// What every command takes.
struct CommonOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The configuration file.", valueName: "file"))
    var config: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Sets a configuration key, over the file and the environment. May be repeated.", valueName: "key=value"))
    var set: [String] = []

    /// - Parameter quiet: commands log warnings only, so that their output stays theirs.
    func load(quiet: Bool = true) async throws -> Settings {
        let settings = try await read()
        let level = Logger.Level(rawValue: settings.log.level.rawValue) ?? .info
        bootstrapLogging(
            level: quiet && level == .info ? .error : level, format: LogFormat(settings.log.format.rawValue) ?? .auto,
            writer: quiet ? .caller : .thread)
        return settings
    }

    /// Like ``load(quiet:)``, for a command that reads a second configuration: logging begins once.
    func read() async throws -> Settings {
        var overrides: [(key: String, value: String)] = []
        for pair in set {
            guard let equals = pair.firstIndex(of: "=") else {
                throw CommandFailure(.wrong, "--set \(pair): write key=value, such as --set worker.prefetch=100")
            }
            overrides.append((String(pair[..<equals]), String(pair[pair.index(after: equals)...])))
        }
        return try await Settings.load(
            file: config, environment: ProcessInfo.processInfo.environment, overrides: overrides,
            others: Assembly.problems(in:))
    }

    /// What is odd about the configuration without being wrong, a sentence each.
    func oddities(_ settings: Settings) -> [String] {
        Settings.suspicious(in: ProcessInfo.processInfo.environment) + settings.keyOddities
            + settings.idleOddities
            + [settings.prefetchOddity, settings.replyOddity, settings.memoryOddity(MemoryLimit.read())].compactMap {
                $0
            }
    }

    /// The servers and names of the configuration.
    /// - Throws: ``SettingsError`` naming the keys that are wrong.
    func servers() async throws -> Servers {
        let settings = try await load()
        var problems: [String] = []
        var rabbitMQ: RabbitMQConfiguration?
        var redis: RedisConfiguration?
        do { rabbitMQ = try RabbitMQConfiguration(settings) } catch {
            problems.append(Settings.refusal("rabbitmq.url", settings.rabbitmqURL, error.message))
        }
        do { redis = try RedisConfiguration(settings) } catch {
            problems.append(Settings.refusal("redis.url", settings.redisURL, error.message))
        }
        problems += (rabbitMQ?.problems ?? []).map { "rabbitmq.url: \($0)" }
        problems += (redis?.problems ?? []).map { "redis.url: \($0)" }
        guard problems.isEmpty, let rabbitMQ, let redis else { throw SettingsError(problems: problems) }
        return Servers(
            settings: settings, rabbitMQ: rabbitMQ, redis: redis, queues: JobQueues(settings),
            keys: RedisKeys(prefix: settings.redisPrefix))
    }

    /// A client connected to the servers of the configuration.
    func connect() async throws -> ParleyClient { try await connect(to: servers()) }

    func connect(to servers: Servers) async throws -> ParleyClient {
        var configuration = ParleyClientConfiguration(
            rabbitMQ: servers.rabbitMQ, redis: servers.redis, queues: servers.queues, keys: servers.keys)
        configuration.exchange = servers.settings.queue.exchange
        let tenancy = Tenancy(servers.settings)
        if tenancy.mode == .authenticated { configuration.tenant = tenancy.tenant(of: servers.rabbitMQ.username) }
        return try await ParleyClient.connect(configuration)
    }
}

/// Where a command's servers are, and what things are called there.
struct Servers {
    let settings: Settings
    var rabbitMQ: RabbitMQConfiguration
    let redis: RedisConfiguration
    let queues: JobQueues
    let keys: RedisKeys
}

struct JSONOption: ParsableArguments {
    @Flag(name: .long, help: "Prints JSON, one object a line; the form is stable.")
    var json = false
}

extension Assembly {
    /// - Throws: ``CommandFailure`` when there is none of that name.
    func agent(named name: String?) throws(CommandFailure) -> AgentParts {
        guard let agent = agent(name) else {
            let names = agents.compactMap(\.name)
            throw CommandFailure(
                .wrong,
                "--agent \(name ?? ""): "
                    + (names.isEmpty
                        ? "no agents are configured (agents.<name>)" : "allowed are \(names.joined(separator: ", "))"))
        }
        return agent
    }
}
