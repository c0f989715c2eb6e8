import Configuration
import ParleyPrimitives
import Yams

/// What is wrong with a configuration: every mistake at once.
package struct SettingsError: Error, Sendable, Equatable, CustomStringConvertible {
    /// One sentence each: the key, the value, what is allowed.
    package let problems: [String]

    package init(problems: [String]) { self.problems = problems }

    package var description: String {
        problems.count == 1
            ? "configuration: \(problems[0])"
            : "configuration: \(problems.count) mistakes\n" + problems.map { "  \($0)" }.joined(separator: "\n")
    }
}

extension Settings {
    /// The file read when none is named, if it exists.
    package static let defaultFile = "config/parley.yaml"

    /// Reads flags, then the environment (`PARLEY_` and the key in capitals, `_` for `.`), then the file, then defaults.
    ///
    /// - Parameters:
    ///   - file: a YAML file; nil: `PARLEY_CONFIG`, else ``defaultFile`` when it exists. That one must belong to the user and
    ///     be nobody else's to write, and its hosts get no key from `OPENAI_API_KEY`.
    ///   - overrides: keys and values from flags.
    ///   - defaultFile: another than the usual one, for tests.
    ///   - others: finds further mistakes, for values that other parts read; asked when there are some already, so that
    ///     all are named together.
    /// - Throws: ``SettingsError`` with every wrong key and value.
    package static func load(
        file: String?, environment: [String: String], overrides: [(key: String, value: String)] = [],
        defaultFile: String = defaultFile, others: (Settings) -> [String] = { _ in [] }
    ) async throws(SettingsError) -> Settings {
        var problems: [String] = []
        var providers: [any ConfigProvider] = []
        var flags: [AbsoluteConfigKey: ConfigValue] = [:]
        for (key, value) in overrides {
            if !keys.contains(key), !isAgentKey(key), !isTenantKey(key) {
                problems.append(unknown(key, in: "--set"))
            } else if value.isEmpty {
                problems.append("\(key) is \"\" in --set; a value is needed, or leave it out")
            }
            flags[AbsoluteConfigKey(key.split(separator: ".").map(String.init), context: [:])] = ConfigValue(
                .string(value), isSecret: false)
        }
        providers.append(InMemoryProvider(values: flags))
        var fromFile: Int?
        var fileRoot: Node?
        // Empty variables count as not set: compose files and unit files write them so.
        let set = environment.filter { !$0.value.isEmpty }
        providers.append(EnvironmentVariablesProvider(environmentVariables: set).prefixKeys(with: "parley"))
        file: if let file = SettingsFile(named: file, environment: set, default: defaultFile) {
            let path = file.path
            do {
                if let distrust = file.distrust { throw SettingsError(problems: [distrust]) }
                guard let root = try yaml(inFile: path) else { break file }
                fileRoot = root
                check(root, prefix: "", path, &problems)
                if file.isFound { fromFile = providers.count }
                providers.append(InMemoryProvider(values: values(in: root)))
            } catch let error as SettingsError {
                problems += error.problems
            } catch {
                problems.append("the file \(path) cannot be read: \(error)")
            }
        }
        var reader = SettingsReader(layers: providers, foundFile: fromFile)
        var settings = Settings(&reader, openAIKey: set["OPENAI_API_KEY"])
        let agents = agentNames(flags: overrides.map(\.key), environment: set.keys, root: fileRoot)
        settings.readAgents(agents, &reader, openAIKey: set["OPENAI_API_KEY"])
        settings.readTenants(
            tenantNames(flags: overrides.map(\.key), environment: set.keys, root: fileRoot), &reader)
        settings.readObjects(&reader, environment: set)
        settings.idleness = reader.idleness
        problems += reader.problems
        guard problems.isEmpty else { throw SettingsError(problems: problems + others(settings)) }
        return settings
    }

    private init(_ reader: inout SettingsReader, openAIKey: String?) {
        self.init()
        reader.secret("rabbitmq.url", &rabbitmqURL)
        reader.secret("redis.url", &redisURL)
        reader.secret("rabbitmq.password", &rabbitmqPassword)
        reader.secret("redis.password", &redisPassword)
        reader.string("redis.ca_file", &redisTLS.caFile)
        reader.string("redis.cert_file", &redisTLS.certificateFile)
        reader.string("redis.key_file", &redisTLS.keyFile)
        reader.string("redis.prefix", &redisPrefix)
        if redisPrefix.utf8.count > 64 || !redisPrefix.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
            reader.wrong("redis.prefix", redisPrefix, "at most 64 printable ASCII characters, no spaces")
        }
        reader.string("queue.name", &queue.name)
        if queue.name.hasPrefix("amq.") { reader.wrong("queue.name", queue.name, "not starting with amq.") }
        reader.string("queue.exchange", &queue.exchange)
        reader.choice("queue.type", &queue.kind)
        reader.lanes("queue.lanes", &queue.lanes)
        var prefetch: Int?
        reader.int("worker.prefetch", &prefetch, in: 1...65_535)
        reader.int("worker.window", &worker.window, in: 1...65_535)
        reader.duration("worker.shutdown_grace", &worker.shutdownGrace, in: .zero ... .seconds(86_400))
        reader.string("admin.listen", &adminListen)
        reader.secret("admin.token", &adminToken)
        reader.secret("secrets.letter_key", &letterKey)
        if let problem = letterKey.flatMap(Self.problem(ofLetterKey:)) { reader.problem(problem) }
        reader.endpoints("model.", &model)
        reader.string("model.name", &model.name)
        reader.secret("model.api_key", &model.apiKey)
        if model.apiKey == nil, let openAIKey {
            if reader.areEndpointsOfFoundFile("model.") {
                withheldKeys.append("model")
            } else {
                model.apiKey = openAIKey
            }
        }
        reader.choices("model.omit", &model.omit)
        reader.choice("model.stream", &model.stream)
        reader.choice("model.reasoning", &model.reasoning)
        // Below the broker's consumer_timeout, 30 minutes unless changed: it would take the job back.
        reader.duration("model.timeout", &model.timeout, in: .milliseconds(1) ... .seconds(1500))
        reader.int("model.max_concurrency", &model.maxConcurrency, in: 1...65_535)
        reader.choice("model.concurrency", &model.concurrency)
        reader.feed("model.", &model)
        reader.prices("model.prices", &model.prices)
        reader.string("model.currency", &model.currency)
        model.fallbacks = fallbacks("model.fallbacks", of: model, &reader, openAIKey: openAIKey)
        reader.string("embeddings.url", &embeddings.url)
        reader.string("embeddings.model", &embeddings.model)
        reader.secret("embeddings.api_key", &embeddings.apiKey)
        if embeddings.apiKey == nil, let openAIKey {
            if reader.isOfFoundFile("embeddings.url") {
                withheldKeys.append("embeddings")
            } else {
                embeddings.apiKey = openAIKey
            }
        }
        reader.int("embeddings.batch", &embeddings.batch, in: 1...4096)
        reader.int("embeddings.max_tokens", &embeddings.maxTokens, in: 16...1_000_000)
        reader.string("embeddings.query_prefix", &embeddings.queryPrefix)
        reader.string("embeddings.passage_prefix", &embeddings.passagePrefix)
        reader.string("vectors.url", &vectorsURL)
        reader.secret("vectors.token", &vectorsToken)
        reader.choice("retrieval.mode", &retrieval.mode)
        reader.choice("retrieval.rewrite", &retrieval.rewrite)
        reader.flag("retrieval.hybrid", &retrieval.hybrid)
        reader.double("retrieval.min_score", &retrieval.minScore, in: 0...1)
        reader.choice("retrieval.empty", &retrieval.empty)
        reader.string("retrieval.filter", &retrieval.filter)
        reader.string("rerank.url", &rerank.url)
        reader.string("rerank.model", &rerank.model)
        reader.secret("rerank.api_key", &rerank.apiKey)
        reader.int("rerank.candidates", &rerank.candidates, in: 1...100)
        reader.classifier("routing.model", &routing.model)
        reader.int("retrieval.top_k", &retrieval.topK, in: 1...64)
        reader.duration("retrieval.timeout", &retrieval.timeout, in: .milliseconds(1) ... .seconds(300))
        reader.int("retrieval.max_connections", &retrieval.maxConnections, in: 1...65_535)
        reader.duration("results.ttl", &results.ttl, in: .seconds(1) ... .seconds(10 * 365 * 86_400))
        reader.double("results.ttl_jitter", &results.ttlJitter, in: 0...0.9)
        reader.size("cache.memory", &cache.memory, in: 0...(1 << 40))
        reader.duration("cache.memory_ttl", &cache.memoryTTL, in: .zero ... .seconds(30 * 86_400))
        reader.duration("cache.ttl", &cache.ttl, in: .zero ... .seconds(30 * 86_400))
        reader.double("cache.ttl_jitter", &cache.ttlJitter, in: 0...0.9)
        reader.duration("cache.stale", &cache.stale, in: .zero ... .seconds(30 * 86_400))
        reader.flag("cache.refresh_ahead", &cache.refreshAhead)
        reader.size("cache.embeddings", &cache.embeddings, in: 0...(1 << 40))
        reader.size("cache.passages", &cache.passages, in: 0...(1 << 40))
        reader.choice("cache.scope", &cache.scope)
        reader.duration("stream.flush", &stream.flush, in: .zero ... .seconds(60))
        reader.duration("stream.keep", &stream.keep, in: .zero ... .seconds(30 * 86_400))
        reader.flag("analytics.questions", &recordsQuestions)
        reader.duration("dead.ttl", &retention.deadTTL, in: .seconds(60) ... .seconds(3650 * 86_400))
        reader.int("dead.max_letters", &retention.deadLetters, in: 1...1_000_000_000)
        reader.int("delays.max_jobs", &retention.delayedJobs, in: 1...1_000_000_000)
        reader.duration("audit.ttl", &auditTTL, in: .seconds(60) ... .seconds(100 * 365 * 86_400))
        reader.duration("priority.max_wait", &priorityMaxWait, in: .milliseconds(1) ... .seconds(86_400))
        reader.int("retry.max_attempts", &retry.maxAttempts, in: 1...1000)
        reader.duration("retry.base", &retry.base, in: .milliseconds(1) ... .seconds(86_400))
        reader.double("retry.factor", &retry.factor, in: 1...100)
        reader.duration("retry.max", &retry.max, in: .milliseconds(1) ... .seconds(365 * 86_400))
        reader.int("retry.max_deliveries", &retry.maxDeliveries, in: 1...1000)
        reader.choice("tenants.mode", &tenants.mode)
        reader.pairs("tenants.users", &tenants.users)
        reader.list("tenants.relays", &tenants.relays)
        reader.size("limits.body", &limits.body, in: 1...(128 << 20))
        reader.size("limits.query", &limits.query, in: 1...(128 << 20))
        reader.size("limits.metadata", &limits.metadata, in: 2...(128 << 20))
        reader.int("limits.max_tokens", &limits.maxTokens, in: 1...1_000_000)
        reader.duration("limits.not_before", &limits.notBefore, in: .zero ... .seconds(388 * 86_400))
        reader.rates("limits.", &limits.rates)
        reader.perTenant("limits.in_flight", &limits.inFlight, in: 1...65_535)
        reader.perTenant("limits.chunks_per_second", &limits.chunksPerSecond, in: 1...1_000_000)
        reader.patterns("reply.allow", &replyAllow, placeholders: ["{tenant}", "{user}"])
        reader.patterns("models.allow", &modelsAllow)
        reader.choice("log.level", &log.level)
        reader.choice("log.format", &log.format)
        reader.string("prompt.system", &prompt.system)
        reader.string("prompt.user", &prompt.user)
        reader.string("prompt.refusal", &prompt.refusal)
        reader.int("prompt.history_tokens", &prompt.historyTokens, in: 0...1_000_000)
        reader.int("prompt.context_tokens", &prompt.contextTokens, in: 0...1_000_000)
        worker.prefetch = prefetch ?? defaultPrefetch
        secretFiles = reader.secretFiles
    }

    /// Every key there is.
    package static let keys: Set<String> = [
        "rabbitmq.url", "redis.url", "redis.ca_file", "redis.cert_file", "redis.key_file", "redis.prefix", "queue.name",
        "queue.type", "queue.exchange", "queue.lanes", "tenants.mode", "tenants.users", "tenants.relays",
        "worker.prefetch",
        "worker.window",
        "worker.shutdown_grace", "admin.listen", "admin.token", "admin.token_file", "rabbitmq.url_file",
        "redis.url_file",
        "secrets.letter_key", "secrets.letter_key_file", "model.api_key_file", "embeddings.api_key_file",
        "vectors.token_file", "model.url", "model.name", "model.api_key", "model.timeout",
        "model.max_concurrency", "model.omit", "model.stream", "model.reasoning", "embeddings.url", "embeddings.model",
        "embeddings.api_key", "embeddings.batch",
        "embeddings.max_tokens", "embeddings.query_prefix", "embeddings.passage_prefix", "vectors.url", "vectors.token",
        "model.prices", "model.currency", "model.fallbacks", "model.endpoints", "model.hedge", "model.feed",
        "model.max_batch",
        "model.max_batch_tokens", "model.template", "model.batch_hours", "model.concurrency", "model.batch_prices",
        "cache.memory",
        "cache.memory_ttl", "cache.ttl",
        "cache.ttl_jitter", "cache.stale", "cache.scope", "cache.refresh_ahead", "cache.embeddings", "cache.passages",
        "analytics.questions", "stream.flush", "stream.keep",
        "retrieval.hybrid", "retrieval.min_score", "retrieval.empty", "retrieval.filter", "rerank.url", "rerank.model",
        "rerank.api_key",
        "rerank.api_key_file", "rerank.candidates", "prompt.refusal",
        "routing.model", "retrieval.rewrite", "retrieval.mode", "retrieval.top_k", "retrieval.timeout",
        "retrieval.max_connections",
        "results.ttl",
        "results.ttl_jitter",
        "retry.max_attempts", "retry.base",
        "retry.factor", "retry.max", "retry.max_deliveries", "limits.body", "limits.query",
        "limits.metadata", "limits.max_tokens", "limits.not_before", "limits.requests_per_minute",
        "limits.tokens_per_minute", "limits.concurrent", "reply.allow",
        "reply.max_inline", "objects.url", "objects.region", "objects.access_key", "objects.access_key_file",
        "objects.secret_key", "objects.secret_key_file", "models.allow", "log.level",
        "log.format",
        "prompt.system", "prompt.user", "prompt.history_tokens", "prompt.context_tokens",
        "priority.max_wait", "audit.ttl", "dead.ttl", "dead.max_letters", "delays.max_jobs", "limits.in_flight",
        "limits.chunks_per_second", "rabbitmq.password", "rabbitmq.password_file", "redis.password",
        "redis.password_file",
    ]

    /// What is wrong with `secrets.letter_key`, nothing of it repeated.
    package static func problem(ofLetterKey key: String) -> String? {
        key.utf8.count < 16 ? "secrets.letter_key has \(key.utf8.count) bytes; allowed: 16 and more" : nil
    }

    /// What is wrong with a URL, naming it without what may be a password.
    package static func refusal(_ key: String, _ url: String, _ reason: String) -> String {
        "\(key) is \"\(URLText.redacted(url))\": \(reason)"
    }

    // MARK: - Unknown keys

    /// Nil when the file holds nothing but comments.
    private static func yaml(inFile path: String) throws(SettingsError) -> Node? {
        let text: String
        do throws(FileText.Reason) { text = try FileText.read(path, limit: 4 << 20) } catch {
            throw SettingsError(problems: ["the file \(path) cannot be read: \(error.text)"])
        }
        do {
            // Values are read as they are written: the default resolver would compile seven expressions first.
            return try Yams.compose(yaml: text, .basic)
        } catch {
            throw SettingsError(problems: ["the file \(path) is not YAML: \(error)"])
        }
    }

    private static func check(_ node: Node, prefix: String, _ path: String, _ problems: inout [String]) {
        guard let mapping = node.mapping else {
            let isEmpty = node.scalar?.string.isEmpty ?? false
            // An agent may have nothing of its own.
            if isEmpty, prefix.hasPrefix("agents."), !prefix.dropFirst("agents.".count).contains(".") { return }
            if !keys.contains(prefix), !isAgentKey(prefix), !isTenantKey(prefix), !(prefix.isEmpty && isEmpty) {
                problems.append(prefix.isEmpty ? "\(path) is no mapping of keys" : unknown(prefix, in: path))
            } else if isFallbacks(prefix), let list = node.sequence {
                checkFallbacks(list, prefix, path, &problems)
            } else if isEndpoints(prefix), let list = node.sequence {
                checkEndpoints(list, prefix, path, &problems)
            } else if node.sequence != nil {
                problems.append("\(prefix) in \(path) is a list; one value is needed")
            }
            return
        }
        for (key, value) in mapping {
            let name = key.string ?? "?"
            // A section with nothing under it (all its keys commented out) is no mistake.
            if value.mapping == nil, prefix.isEmpty, value.scalar?.string.isEmpty ?? false, !keys.contains(name) {
                continue
            }
            check(value, prefix: prefix.isEmpty ? name : "\(prefix).\(name)", path, &problems)
        }
    }

    /// Environment variables that look like a key misspelt, a sentence each. No mistake, since others may have variables
    /// that begin with `PARLEY_`, too.
    package static func suspicious(in environment: [String: String]) -> [String] {
        let variables = keys.map { "PARLEY_" + $0.uppercased().replacing(".", with: "_") }.sorted()
        return environment.filter { !$0.value.isEmpty }.keys.sorted().compactMap { name in
            guard name.hasPrefix("PARLEY_"), name != "PARLEY_CONFIG", !variables.contains(name),
                agentName(ofVariable: name) == nil, tenantName(ofVariable: name) == nil,
                let near = variables.min(by: { $0.editDistance(to: name) < $1.editDistance(to: name) }),
                near.editDistance(to: name) <= 2
            else { return nil }
            return "the environment variable \(name) has no effect; did you mean \(near)?"
        }
    }

    private static func unknown(_ key: String, in place: String) -> String {
        let near = (keys.sorted() + agentKeys(like: key)).min { $0.editDistance(to: key) < $1.editDistance(to: key) }
        let hint = near.flatMap { $0.editDistance(to: key) <= 4 ? "; did you mean \($0)?" : nil } ?? ""
        return "\(key) in \(place) is no key of Parley's\(hint)"
    }
}
