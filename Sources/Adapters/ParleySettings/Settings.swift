/// Everything an operator can set, read once and validated as a whole. Names are the keys of the configuration file
/// (contract, section 7); nothing deeper reads a file or the environment.
package struct Settings: Sendable, Equatable {
    package var rabbitmqURL = "amqp://guest:guest@127.0.0.1:5672/"
    package var redisURL = "redis://127.0.0.1:6379/0"
    /// `rabbitmq.password`, `redis.password`: instead of those in the URLs.
    package var rabbitmqPassword: String?
    package var redisPassword: String?
    /// The files that secrets came from, by key: `rabbitmq.url`, `model.api_key` … They may be read again.
    package var secretFiles: [String: String] = [:]
    package var redisTLS = RedisTLS()
    /// `redis.prefix`: what Parley's keys in Redis begin with.
    package var redisPrefix = "chat"
    package var queue = Queue()
    package var worker = Worker()
    /// `admin.listen`: `host:port`, or `off`.
    package var adminListen = "127.0.0.1:9464"
    /// `admin.token`: whoever asks for anything but `/livez` must send it as a bearer token. Nil asks for none.
    package var adminToken: String?
    /// `secrets.letter_key`: workers sign dead letters with it, and `parley requeue` sends back signed ones alone.
    package var letterKey: String?
    /// Parts (`model`, `embeddings`) whose address a file names that only lies in the working folder: `OPENAI_API_KEY` is
    /// not for them.
    package var withheldKeys: [String] = []
    /// What is set and has no effect beside the rest, a sentence each.
    package var idleness: [String] = []
    package var model = Model()
    package var embeddings = Embeddings()
    package var vectorsURL = "file:.parley/knowledge.index"
    /// `vectors.token`
    package var vectorsToken: String?
    package var retrieval = Retrieval()
    package var rerank = Rerank()
    package var routing = Routing()
    /// By name.
    package var agents: [String: Agent] = [:]
    package var results = Results()
    package var cache = Cache()
    package var stream = Stream()
    /// `analytics.questions`: what is asked is counted in Redis, for `parley warm --top`.
    package var recordsQuestions = false
    package var retry = Retry()
    package var retention = Retention()
    /// `audit.ttl`: workers drop older entries.
    package var auditTTL: Duration = .seconds(365 * 86_400)
    /// `priority.max_wait`.
    package var priorityMaxWait: Duration = .seconds(60)
    package var tenants = Tenants()
    package var limits = Limits()
    /// `reply.allow`: which queues replies may go to, with `*`, `{tenant}` and `{user}`.
    package var replyAllow = ["*"]
    /// `reply.max_inline`: bytes.
    package var replyMaxInline = 256 << 10
    package var objects = Objects()
    /// `models.allow`: which models jobs may name, with `*`.
    package var modelsAllow = ["*"]
    package var log = Log()
    package var prompt = Prompt()

    /// `queue.*`
    package struct Queue: Sendable, Equatable {
        package enum Kind: String, Sendable, CaseIterable { case classic, quorum }
        /// A further job queue beside the main one, consumed with a weight.
        package struct Lane: Sendable, Equatable {
            package var name: String
            package var weight: Int
        }
        package var name = "chat.jobs"
        /// Where producers publish; nothing is the default exchange.
        package var exchange = ""
        package var kind = Kind.classic
        package var lanes: [Lane] = []
    }

    /// `redis.ca_file`, `redis.cert_file`, `redis.key_file`: PEM files, for a `redis.url` with `rediss`.
    package struct RedisTLS: Sendable, Equatable {
        package var caFile: String?
        package var certificateFile: String?
        package var keyFile: String?
    }

    /// `worker.*`
    package struct Worker: Sendable, Equatable {
        /// Not set, it follows the model: see ``Settings/defaultPrefetch``.
        package var prefetch = 512
        package var window = 64
        package var shutdownGrace: Duration = .seconds(30)
    }

    /// `model.*`
    package struct Model: Sendable, Equatable {
        /// What need not be sent.
        package enum Parameter: String, Sendable, CaseIterable {
            case temperature
            case seed
            case maxTokens = "max_tokens"
            case streamOptions = "stream_options"
        }
        package enum Stream: String, Sendable, CaseIterable { case auto, always }
        package enum Reasoning: String, Sendable, CaseIterable { case strip, keep }
        /// How it is asked: one chat request a job, an array of prompts for several, or bulk by its provider's batch interface.
        package enum Feed: String, Sendable, CaseIterable { case requests, prompts, batch }
        /// The first of ``endpoints``, where there are several.
        package var url = "builtin:extractive"
        /// `model.endpoints`; none: there is ``url`` alone.
        package var endpoints: [Endpoint] = []
        package var name: String?
        package var apiKey: String?
        package var omit: [Parameter] = []
        package var stream = Stream.auto
        package var reasoning = Reasoning.strip
        package var timeout: Duration = .seconds(60)
        package var maxConcurrency = 512
        /// Whether that many calls are made at once, or as many as are found to be enough.
        package enum Concurrency: String, Sendable, CaseIterable { case fixed, auto }
        package var concurrency = Concurrency.fixed
        /// `model.hedge`: where a call is late, a second one is made.
        package var hedges = false
        package var feed = Feed.requests
        package var maxBatch = 16
        package var maxBatchTokens = 32_768
        /// `model.template`: how prompts are written. One of ``templates``.
        package var template = "chatml"
        package static let templates = ["chatml", "llama3", "mistral", "gemma", "phi3", "zephyr", "plain"]
        /// `model.batch_hours`, as `22-6`, in UTC; nil: all day.
        package var batchHours: Hours?
        package struct Hours: Sendable, Equatable {
            package var start: Int
            package var end: Int
        }
        /// Of answers that come by a batch; nil: as of others.
        package var batchPrices: [Double]?
        /// Per million tokens: of prompts, of prompts that the service had read before, of answers.
        package var prices: [Double]?
        package var currency = "USD"
        /// `model.fallbacks`: asked in order when it is away. They have none of their own.
        package var fallbacks: [Model] = []
    }

    /// `embeddings.*`
    package struct Embeddings: Sendable, Equatable {
        package var url = "builtin:lexical"
        package var model: String?
        package var apiKey: String?
        package var batch = 64
        package var maxTokens: Int?
        package var queryPrefix = ""
        package var passagePrefix = ""
    }

    /// `retrieval.*`
    package struct Retrieval: Sendable, Equatable {
        package enum Mode: String, Sendable, CaseIterable { case auto, always, never }
        /// How follow-ups are made to stand alone for the search: not at all, with the question that they follow up in front
        /// of them, or by the model.
        package enum Rewrite: String, Sendable, CaseIterable { case off, append, model }
        /// What becomes of questions for which no passage is found.
        package enum Empty: String, Sendable, CaseIterable { case ask, refuse }
        package var mode = Mode.auto
        package var rewrite = Rewrite.append
        /// Words count beside vectors.
        package var hybrid = true
        /// Passages with a lower score are dropped; 0 drops none.
        package var minScore = 0.0
        package var empty = Empty.ask
        /// What passages have to be: `language=en, tag=public`.
        package var filter: String?
        package var topK = 4
        package var timeout: Duration = .seconds(10)
        /// Nil follows `worker.prefetch`.
        package var maxConnections: Int?
    }

    /// `rerank.*`
    package struct Rerank: Sendable, Equatable {
        /// Nil: passages stay in the order in which they were found.
        package var url: String?
        package var model: String?
        package var apiKey: String?
        /// How many passages it is shown.
        package var candidates = 20
    }

    /// `stream.*`
    package struct Stream: Sendable, Equatable {
        /// The least time between two chunks of a stream.
        package var flush = Duration.zero
        /// So long chunks are kept in Redis; nothing: they are not.
        package var keep = Duration.zero
    }

    /// `cache.*`
    package struct Cache: Sendable, Equatable {
        package enum Scope: String, Sendable, CaseIterable { case user, tenant, all }
        /// Bytes; 0 keeps none in memory.
        package var memory = 64 << 20
        package var memoryTTL: Duration = .seconds(60)
        /// In Redis; 0 keeps none there.
        package var ttl: Duration = .seconds(600)
        package var ttlJitter = 0.1
        package var stale: Duration = .zero
        package var refreshAhead = true
        /// Bytes of questions' vectors in memory; 0 keeps none.
        package var embeddings = 8 << 20
        /// Bytes of what was found for questions in memory; 0 keeps none.
        package var passages = 8 << 20
        package var scope = Scope.tenant
    }

    /// `results.*`
    package struct Results: Sendable, Equatable {
        package var ttl: Duration = .seconds(24 * 3600)
        package var ttlJitter = 0.1
    }

    /// `dead.ttl`, `dead.max_letters`, `delays.max_jobs`; nil: without a limit.
    package struct Retention: Sendable, Equatable {
        package var deadTTL: Duration?
        package var deadLetters: Int?
        package var delayedJobs: Int?
    }

    /// `retry.*`
    package struct Retry: Sendable, Equatable {
        package var maxAttempts = 5
        package var base: Duration = .seconds(1)
        package var factor = 2.0
        package var max: Duration = .seconds(600)
        package var maxDeliveries = 3
    }

    /// `tenants.*`
    package struct Tenants: Sendable, Equatable {
        package enum Mode: String, Sendable, CaseIterable { case open, authenticated }
        package var mode = Mode.open
        /// The tenants of users that are not called like theirs.
        package var users: [String: String] = [:]
        /// Users of Parley's own processes, besides the one in `rabbitmq.url`.
        package var relays: [String] = []
        /// `tenants.<name>.*`
        package var own: [String: Tenant] = [:]
    }

    /// What a tenant has of its own.
    package struct Tenant: Sendable, Equatable {
        package var rates = Limits.Rates()
        /// `weight`: its share where several wait for a model.
        package var weight = 1
    }

    /// `limits.*`; sizes in bytes.
    package struct Limits: Sendable, Equatable {
        package var body = 1 << 20
        package var query = 32 << 10
        package var metadata = 16 << 10
        /// Nil: what the contract allows.
        package var maxTokens: Int?
        package var notBefore: Duration = .seconds(30 * 86_400)
        /// `limits.in_flight`, `limits.chunks_per_second`: a tenant's, in one worker.
        package var inFlight = PerTenant()
        package var chunksPerSecond = PerTenant()

        /// `limits.requests_per_minute`, `limits.tokens_per_minute`, `limits.concurrent`: of each model, over all workers.
        package var rates = Rates()

        /// Nil: there is none.
        package struct Rates: Sendable, Equatable {
            package var requests: Int?
            package var tokens: Int?
            package var concurrent: Int?
        }

        /// A number for every tenant, and others for some.
        package struct PerTenant: Sendable, Equatable {
            package var everybody: Int?
            package var own: [String: Int]

            package init(everybody: Int? = nil, own: [String: Int] = [:]) {
                self.everybody = everybody
                self.own = own
            }
        }
    }

    /// `objects.*`: where answers and bodies are that are too long for messages.
    package struct Objects: Sendable, Equatable {
        /// Nil: there are none.
        package var url: String?
        package var region = "us-east-1"
        package var accessKey: String?
        package var secretKey: String?
        /// Of temporary keys, from `AWS_SESSION_TOKEN`.
        package var sessionToken: String?
        /// A file that only lies in the working folder names the store: the keys of the environment are not for it.
        package var areKeysWithheld = false
    }

    /// `log.*`
    package struct Log: Sendable, Equatable {
        package enum Level: String, Sendable, CaseIterable { case trace, debug, info, notice, warning, error, critical }
        package enum Format: String, Sendable, CaseIterable { case auto, text, json }
        package var level = Level.info
        package var format = Format.auto
    }

    /// `prompt.*`; nil means the built-in template.
    package struct Prompt: Sendable, Equatable {
        package var system: String?
        package var user: String?
        /// For `retrieval.empty: refuse`; nil says so in the question's language.
        package var refusal: String?
        package var historyTokens = 1500
        package var contextTokens = 3000
    }

    package init() {}
}

/// Whatever prints settings prints no secrets: keys are secret, and URLs have passwords in them.
extension Settings: CustomStringConvertible, CustomReflectable {
    package var description: String { "settings of \(queue.name)" }
    package var customMirror: Mirror { Mirror(self, children: ["queue": queue.name]) }
}

extension Settings.Model: CustomStringConvertible, CustomReflectable {
    package var description: String { name ?? "model" }
    package var customMirror: Mirror { Mirror(self, children: ["name": name as Any]) }
}

extension Settings.Rerank: CustomStringConvertible, CustomReflectable {
    package var description: String { model ?? "rerank" }
    package var customMirror: Mirror { Mirror(self, children: ["model": model as Any]) }
}

extension Settings.Objects: CustomStringConvertible, CustomReflectable {
    package var description: String { url ?? "objects" }
    package var customMirror: Mirror { Mirror(self, children: ["url": url as Any]) }
}

extension Settings.Embeddings: CustomStringConvertible, CustomReflectable {
    package var description: String { model ?? "embeddings" }
    package var customMirror: Mirror { Mirror(self, children: ["model": model as Any]) }
}
