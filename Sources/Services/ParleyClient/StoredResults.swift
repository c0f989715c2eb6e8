import ChatJobs
import IOLoop
import Logging
import ParleyRedis
import Topology

/// Results by id, for readers that have no business with the broker.
public actor StoredResults {
    private let loop: IOLoop
    private let redis: RedisClient
    private let keys: RedisKeys
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// - Parameters:
    ///   - url: `redis.url`.
    ///   - prefix: `redis.prefix`.
    ///   - tenant: whose results, with `tenants.mode: authenticated`.
    /// - Throws: ``ParleyClientError/Code/invalid`` naming the URL's wrong part.
    public init(
        redis url: String, prefix: String = "chat", tenant: String? = nil,
        logger: Logger = Logger(label: "parley.results")
    ) throws(ParleyClientError) {
        var keys = RedisKeys(prefix: prefix)
        keys.tenant = tenant
        let configuration: RedisConfiguration
        do throws(RedisError) { configuration = try RedisConfiguration(url: url) } catch {
            throw ParleyClientError(error)
        }
        try self.init(redis: configuration, keys: keys, logger: logger)
    }

    package init(
        redis configuration: RedisConfiguration, keys: RedisKeys, logger: Logger = Logger(label: "parley.results")
    ) throws(ParleyClientError) {
        self.keys = keys
        do throws(IOLoopError) { loop = try IOLoop(name: "parley-results") } catch {
            throw ParleyClientError(RedisError(.invalidConfiguration, "\(error)"))
        }
        redis = RedisClient(configuration: configuration, loop: loop, logger: logger)
    }

    /// The stored reply's JSON; nil when there is none: not answered yet, or no longer kept.
    /// - Throws: ``ParleyClientError``: `unreachable`, `refused`.
    public func result(_ id: JobID) async throws(ParleyClientError) -> [UInt8]? {
        try await redis.storedResult(keys.result(keys.job(id)))
    }

    /// Whether the job is to be answered as revoked when its turn comes; nil when the user may not see that.
    package func isRevoked(_ id: JobID) async throws(ParleyClientError) -> Bool? {
        do throws(RedisError) {
            try await redis.connect()
            let mark = try await redis.send(RedisCommand("GET", keys.revoked(keys.job(id))))
            return mark.isError ? nil : !mark.isNull
        } catch {
            throw ParleyClientError(error)
        }
    }

    deinit { loop.stop() }
}

extension RedisClient {
    /// What is under the contract's key for a job's result (contract, section 3).
    func storedResult(_ key: String) async throws(ParleyClientError) -> [UInt8]? {
        do throws(RedisError) {
            try await connect()
            return try await send(RedisCommand("GET", key)).get().bytes
        } catch {
            throw ParleyClientError(error)
        }
    }
}
