import ChatJobs
import ParleyRabbitMQ
import ParleyRedis
import Topology

/// Where a client finds its servers and queues.
public struct ParleyClientConfiguration: Sendable {
    package let rabbitMQ: RabbitMQConfiguration
    /// Nil: ``ParleyClient/result(_:)`` cannot be used, and an ``ParleyClient/ask(_:priority:timeout:)`` whose reply is
    /// lost with a connection cannot look for the stored result.
    package let redis: RedisConfiguration?
    package let queues: JobQueues
    /// The names of keys in Redis: `redis.prefix` is `chat` unless set otherwise.
    package var keys = RedisKeys()

    /// The exchange that jobs are published to, with the job queue's name as routing key. Default: the default exchange.
    public var exchange = ""

    /// The client's tenant, where the workers have `tenants.mode: authenticated`; nil otherwise. Jobs then carry the AMQP
    /// `user_id`, which the broker checks and the tenant follows from, and results are looked for among the tenant's.
    public var tenant: String? {
        get { keys.tenant }
        set { keys.tenant = newValue }
    }

    /// - Parameters:
    ///   - rabbitMQ: `rabbitmq.url`.
    ///   - redis: `redis.url`; nil to do without.
    ///   - queue: the job queue, `chat.jobs` unless the workers are configured otherwise.
    /// - Throws: ``ParleyClientError/Code/invalid`` naming the URL's wrong part.
    public init(
        rabbitMQ: String = "amqp://guest:guest@127.0.0.1:5672/", redis: String? = "redis://127.0.0.1:6379/0",
        queue: String = "chat.jobs"
    ) throws(ParleyClientError) {
        do throws(RabbitMQError) {
            self.rabbitMQ = try RabbitMQConfiguration(url: rabbitMQ)
        } catch {
            throw ParleyClientError(error)
        }
        do throws(RedisError) {
            self.redis = if let redis { try RedisConfiguration(url: redis) } else { nil }
        } catch {
            throw ParleyClientError(error)
        }
        queues = JobQueues(names: OwnQueues(base: queue), kind: .classic)
    }

    /// From parts that were checked before.
    package init(
        rabbitMQ: RabbitMQConfiguration, redis: RedisConfiguration?, queues: JobQueues, keys: RedisKeys = RedisKeys()
    ) {
        self.keys = keys
        self.rabbitMQ = rabbitMQ
        self.redis = redis
        self.queues = queues
    }
}
