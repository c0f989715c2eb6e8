/// Everything an operator can set, read once and validated as a whole. Names are the keys of the configuration file
/// (contract, section 7); nothing deeper reads a file or the environment.
public struct Settings: Sendable, Equatable {
    public var rabbitmqURL = "amqp://guest:guest@127.0.0.1:5672/"
    public var redisURL = "redis://127.0.0.1:6379/0"
    /// `redis.prefix`: what Parley's keys in Redis begin with.
    public var redisPrefix = "chat"
    public var queue = Queue()
    public var worker = Worker()
    /// `admin.listen`: `host:port`, or `off`.
    public var adminListen = "127.0.0.1:9464"
    public var model = Model()
    public var embeddings = Embeddings()
    public var vectorsURL = "file:.parley/knowledge.index"
    public var retrieval = Retrieval()
    public var results = Results()
    public var retry = Retry()
    /// `priority.max_wait`.
    public var priorityMaxWait: Duration = .seconds(60)
    public var limits = Limits()
    public var log = Log()
    public var prompt = Prompt()

    /// `queue.*`
    public struct Queue: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable { case classic, quorum }
        /// A further job queue beside the main one, consumed with a weight.
        public struct Lane: Sendable, Equatable {
            public var name: String
            public var weight: Int
        }
        public var name = "chat.jobs"
        public var kind = Kind.classic
        public var lanes: [Lane] = []
    }

    /// `worker.*`
    public struct Worker: Sendable, Equatable {
        public var prefetch = 512
        public var window = 64
        public var shutdownGrace: Duration = .seconds(30)
    }

    /// `model.*`
    public struct Model: Sendable, Equatable {
        public var url = "builtin:extractive"
        public var name: String?
        public var apiKey: String?
        public var timeout: Duration = .seconds(60)
        public var maxConcurrency = 512
    }

    /// `embeddings.*`
    public struct Embeddings: Sendable, Equatable {
        public var url = "builtin:lexical"
        public var model: String?
        public var apiKey: String?
    }

    /// `retrieval.*`
    public struct Retrieval: Sendable, Equatable {
        public enum Mode: String, Sendable, CaseIterable { case auto, always, never }
        public var mode = Mode.auto
        public var topK = 4
    }

    /// `results.*`
    public struct Results: Sendable, Equatable {
        public var ttl: Duration = .seconds(24 * 3600)
        public var ttlJitter = 0.1
    }

    /// `retry.*`
    public struct Retry: Sendable, Equatable {
        public var maxAttempts = 5
        public var base: Duration = .seconds(1)
        public var factor = 2.0
        public var max: Duration = .seconds(600)
        public var maxDeliveries = 3
    }

    /// `limits.*`, in bytes.
    public struct Limits: Sendable, Equatable {
        public var body = 1 << 20
        public var query = 32 << 10
    }

    /// `log.*`
    public struct Log: Sendable, Equatable {
        public enum Level: String, Sendable, CaseIterable { case trace, debug, info, notice, warning, error, critical }
        public enum Format: String, Sendable, CaseIterable { case auto, text, json }
        public var level = Level.info
        public var format = Format.auto
    }

    /// `prompt.*`; nil means the built-in template.
    public struct Prompt: Sendable, Equatable {
        public var system: String?
        public var user: String?
        public var historyTokens = 1500
        public var contextTokens = 3000
    }

    public init() {}
}

/// Whatever prints settings prints no secrets: keys are secret, and URLs have passwords in them.
extension Settings: CustomStringConvertible, CustomReflectable {
    public var description: String { "settings of \(queue.name)" }
    public var customMirror: Mirror { Mirror(self, children: ["queue": queue.name]) }
}

extension Settings.Model: CustomStringConvertible, CustomReflectable {
    public var description: String { name ?? "model" }
    public var customMirror: Mirror { Mirror(self, children: ["name": name as Any]) }
}

extension Settings.Embeddings: CustomStringConvertible, CustomReflectable {
    public var description: String { model ?? "embeddings" }
    public var customMirror: Mirror { Mirror(self, children: ["model": model as Any]) }
}
