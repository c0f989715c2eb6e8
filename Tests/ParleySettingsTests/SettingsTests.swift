import Foundation
import ParleySettings
import Testing

private func load(
    yaml: String? = nil, environment: [String: String] = [:], overrides: [(key: String, value: String)] = []
) async throws -> Settings {
    var file: String?
    if let yaml {
        let url = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString).yaml")
        try Data(yaml.utf8).write(to: url)
        file = url.path
    }
    defer { if let file { try? FileManager.default.removeItem(atPath: file) } }
    return try await Settings.load(file: file, environment: environment, overrides: overrides)
}

@Suite struct SettingsTests {
    @Test func nothingSetMeansTheDefaults() async throws { #expect(try await load(yaml: "") == Settings()) }

    @Test func flagsBeatTheEnvironmentAndTheEnvironmentBeatsTheFile() async throws {
        let yaml = "worker:\n  prefetch: 1\n  window: 2\nqueue:\n  name: from.file\nmodel.timeout: 5s\n"
        let settings = try await load(
            yaml: yaml, environment: ["PARLEY_WORKER_PREFETCH": "10", "PARLEY_WORKER_WINDOW": "20"],
            overrides: [("worker.window", "200")])
        #expect(settings.worker.prefetch == 10)
        #expect(settings.worker.window == 200)
        #expect(settings.queue.name == "from.file")
        #expect(settings.model.timeout == .seconds(5))
    }

    @Test func aWorkerHoldsWhatItsModelTakesAtOnce() async throws {
        func prefetch(_ settings: [String: String]) async throws -> Int {
            try await load(overrides: settings.map { ($0.key, $0.value) }).worker.prefetch
        }
        #expect(try await prefetch([:]) == 512)
        #expect(try await prefetch(["model.max_concurrency": "2000"]) == 2000)
        // A window at least, so that something is there when a call ends.
        #expect(try await prefetch(["model.max_concurrency": "4"]) == 64)
        // 1800 s / 70 s
        #expect(try await prefetch(["model.max_concurrency": "1"]) == 25)
        #expect(try await prefetch(["model.max_concurrency": "2", "model.timeout": "1500s"]) == 2)
        #expect(try await prefetch(["model.max_concurrency": "4", "worker.prefetch": "512"]) == 512)
    }

    @Test func jobsThatTheBrokerMayTakeBackAreAnOddity() async throws {
        #expect(try await load().prefetchOddity == nil)
        #expect(try await load(overrides: [("model.max_concurrency", "1")]).prefetchOddity == nil)
        let held = try await load(overrides: [("model.max_concurrency", "8"), ("worker.prefetch", "512")])
        let text = try #require(held.prefetchOddity)
        for part in ["worker.prefetch 512", "model.max_concurrency 8", "75 minutes", "consumer_timeout", "to 64"] {
            #expect(text.contains(part), "\(text)")
        }
    }

    @Test func jobsThatMayTakeMoreMemoryThanThereIsAreAnOddity() async throws {
        let settings = try await load(overrides: [("worker.prefetch", "512"), ("cache.memory", "64MiB")])
        #expect(settings.memoryOddity(nil) == nil)
        #expect(settings.memoryOddity(1152 << 20) == nil)
        let text = try #require(settings.memoryOddity(512 << 20))
        for part in ["worker.prefetch 512", "1024 MiB", "128 MiB", "at 512 MiB", "to 192"] {
            #expect(text.contains(part), "\(text)")
        }
        #expect(try await load(overrides: [("worker.prefetch", "192")]).memoryOddity(512 << 20) == nil)
        #expect(try #require(settings.memoryOddity(1 << 20)).contains("allow more, or lower limits.body"))
    }

    @Test(
        arguments: [
            (
                [
                    "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
                    "sys/fs/cgroup/a/memory.max": "4096\n",
                ], 4096
            ),
            (
                [
                    "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "8192",
                    "sys/fs/cgroup/memory.max": "9999999",
                ], 8192
            ),
            (["proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"], 536_870_912),
            (["sys/fs/cgroup/memory/memory.limit_in_bytes": "1048576\n"], 1_048_576),
            (["sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"], nil),
            (["proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/memory.max": "-1"], nil), ([:], nil),
        ] as [([String: String], Int?)])
    func theLimitOfMemoryIsThatOfTheControlGroups(files: [String: String], limit: Int?) throws {
        let root = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        for (path, text) in files {
            let file = root.appending(path: path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        #expect(MemoryLimit.read(root: root.path) == limit)
    }

    @Test func repliesThatMayReachAnotherTenantAreAnOddity() async throws {
        func oddity(_ allow: String?, mode: String = "authenticated") async throws -> String? {
            try await load(overrides: [("tenants.mode", mode)] + (allow.map { [("reply.allow", $0)] } ?? []))
                .replyOddity
        }
        #expect(try await oddity(nil, mode: "open") == nil)
        let text = try #require(try await oddity(nil))
        #expect(text.contains("reply.allow is \"*\"") && text.contains("chat.replies.{tenant}.*"), "\(text)")
        #expect(try await oddity("chat.replies.{tenant}.*, chat.replies.*") != nil)
        #expect(try await oddity("chat.replies.{tenant}, q-{user}-*, amq.rabbitmq.reply-to") == nil)
    }

    @Test func readsWhatATenantMayHaveAndWhatIsKept() async throws {
        let settings = try await load(
            yaml: "limits.in_flight: 20, shop-eu=50\ndead:\n  ttl: 30d\n  max_letters: 1000\naudit.ttl: 7d\n",
            overrides: [("limits.chunks_per_second", "shop-us=5"), ("delays.max_jobs", "100000")])
        #expect(settings.limits.inFlight == .init(everybody: 20, own: ["shop-eu": 50]))
        #expect(settings.limits.chunksPerSecond == .init(everybody: nil, own: ["shop-us": 5]))
        #expect(settings.retention.deadTTL == .seconds(30 * 86_400) && settings.retention.deadLetters == 1000)
        #expect(settings.retention.delayedJobs == 100_000 && settings.auditTTL == .seconds(7 * 86_400))
        for value in ["0", "20, 30", "a=1, a=2", "=4", "a=", "a=b", "-1", "1.5", "many"] {
            let error = await #expect(throws: SettingsError.self) {
                try await load(overrides: [("limits.in_flight", value)])
            }
            #expect(error?.description.contains("limits.in_flight is \"\(value)\"") == true, "\(value)")
        }
        await #expect(throws: SettingsError.self) { try await load(overrides: [("dead.ttl", "1s")]) }
        await #expect(throws: SettingsError.self) { try await load(overrides: [("delays.max_jobs", "none")]) }
    }

    @Test func readsWhatProducersMayDo() async throws {
        let settings = try await load(
            yaml: "reply:\n  allow: 'replies.{tenant}.*, {user}-*'\nmodels.allow: small\n",
            overrides: [
                ("limits.max_tokens", "800"), ("limits.not_before", "48h"), ("limits.metadata", "1KiB"),
            ])
        #expect(settings.replyAllow == ["replies.{tenant}.*", "{user}-*"])
        #expect(settings.modelsAllow == ["small"])
        #expect(settings.limits.maxTokens == 800 && settings.limits.metadata == 1024)
        #expect(settings.limits.notBefore == .seconds(48 * 3600))
        for (key, value) in [
            ("reply.allow", "replies.{tenat}.*"), ("reply.allow", "a,,b, "), ("models.allow", "{tenant}"),
            ("limits.max_tokens", "0"), ("limits.not_before", "soon"), ("limits.metadata", "1"),
        ] {
            await #expect(throws: SettingsError.self, "\(key)=\(value)") { try await load(overrides: [(key, value)]) }
        }
    }

    @Test func readsDurationsSizesAndLanes() async throws {
        let settings = try await load(environment: [
            "PARLEY_RESULTS_TTL": "90m", "PARLEY_LIMITS_BODY": "256KiB", "PARLEY_QUEUE_LANES": "high:8, bulk:1",
            "PARLEY_WORKER_SHUTDOWN_GRACE": "1500ms", "PARLEY_RETRY_BASE": "0.5s",
        ])
        #expect(settings.results.ttl == .seconds(5400))
        #expect(settings.limits.body == 262_144)
        #expect(settings.queue.lanes.map(\.name) == ["high", "bulk"])
        #expect(settings.queue.lanes.map(\.weight) == [8, 1])
        #expect(settings.worker.shutdownGrace == .milliseconds(1500))
        #expect(settings.retry.base == .milliseconds(500))
    }

    @Test func readsWhatAModelIsSent() async throws {
        #expect(try await load().model.omit.isEmpty)
        let settings = try await load(
            yaml: "model:\n  omit: \"seed, temperature,seed\"\n  stream: always\n  reasoning: keep\n")
        #expect(settings.model.omit == [.seed, .temperature])
        #expect(settings.model.stream == .always)
        #expect(settings.model.reasoning == .keep)
        let error = await #expect(throws: SettingsError.self) {
            try await load(environment: [
                "PARLEY_MODEL_OMIT": "seed, top_p", "PARLEY_MODEL_STREAM": "never", "PARLEY_MODEL_REASONING": "show",
            ])
        }
        let text = error?.description ?? ""
        for part in [
            "model.omit is \"seed, top_p\"; allowed: temperature, seed, max_tokens, stream_options, separated by commas",
            "model.stream is \"never\"; allowed: auto, always", "model.reasoning is \"show\"; allowed: strip, keep",
        ] {
            #expect(text.contains(part), "\(part) is missing in \(text)")
        }
    }

    @Test func aNumberWithoutADefaultMayBeSetOrLeftEmpty() async throws {
        #expect(try await load(yaml: "retrieval: {max_connections: 12}").retrieval.maxConnections == 12)
        #expect(try await load(yaml: "retrieval: {max_connections: \"\"}").retrieval.maxConnections == nil)
        let error = await #expect(throws: SettingsError.self) {
            try await load(yaml: "retrieval: {max_connections: 0}")
        }
        #expect(error?.problems == [#"retrieval.max_connections is "0"; allowed: an integer from 1 to 65535"#])
    }

    @Test func filesForRedisAreReadAndUnsetByDefault() async throws {
        #expect(Settings().redisTLS.caFile == nil && Settings().redisTLS.certificateFile == nil)
        let yaml = "redis:\n  url: rediss://h\n  ca_file: /etc/ca.pem\n"
        let settings = try await load(
            yaml: yaml, environment: ["PARLEY_REDIS_CERT_FILE": "/c.pem", "PARLEY_REDIS_KEY_FILE": "/k.pem"])
        #expect(settings.redisTLS.caFile == "/etc/ca.pem")
        #expect(settings.redisTLS.certificateFile == "/c.pem")
        #expect(settings.redisTLS.keyFile == "/k.pem")
    }

    @Test func everyMistakeIsNamedAtOnce() async throws {
        let yaml = "rabbitmq:\n  ulr: x\nworker:\n  prefetch: many\nresults:\n  ttl: 5\nnonsense: 1\nmodel:\n  - a\n"
        let error = await #expect(throws: SettingsError.self) {
            try await load(yaml: yaml, environment: ["PARLEY_QUEUE_TYPE": "stream"], overrides: [("log.levle", "info")])
        }
        let text = error?.description ?? ""
        for part in [
            "rabbitmq.ulr", "did you mean rabbitmq.url?", "worker.prefetch is \"many\"", "1 to 65535",
            "results.ttl is \"5\"",
            "30s", "nonsense", "queue.type is \"stream\"", "classic, quorum", "log.levle", "model in",
        ] {
            #expect(text.contains(part), "\(part) is missing in \(text)")
        }
    }

    @Test func aVariableThatIsAlmostAKeyIsSuspicious() {
        let environment = [
            "PARLEY_MODLE_URL": "x", "PARLEY_WORKERS_PREFETCH": "5", "PARLEY_MODEL_URL": "y", "PARLEY_CONFIG": "z",
            "PARLEY_WORKER_PASSWORD": "p", "PARLEY_TEST_REDIS_URL": "r", "MODEL_ULR": "q",
        ]
        #expect(
            Settings.suspicious(in: environment) == [
                "the environment variable PARLEY_MODLE_URL has no effect; did you mean PARLEY_MODEL_URL?",
                "the environment variable PARLEY_WORKERS_PREFETCH has no effect; did you mean PARLEY_WORKER_PREFETCH?",
            ])
    }

    @Test func aMissingOrBrokenFileIsNamed() async throws {
        await #expect(throws: SettingsError.self) { try await Settings.load(file: "/nowhere.yaml", environment: [:]) }
        await #expect(throws: SettingsError.self) { try await load(yaml: "a: [b") }
        await #expect(throws: SettingsError.self) { try await load(yaml: "worker:\n  prefetch: [1, 2]\n") }
    }

    @Test func emptySectionsAndVariablesAreNotSet() async throws {
        #expect(
            try await load(yaml: "worker:\nmodel:\n  name:\n", environment: ["PARLEY_QUEUE_NAME": ""]) == Settings())
    }

    @Test func settingsOfRetrievalAreRead() async throws {
        let yaml = """
            embeddings:
              batch: 16
              max_tokens: 512
              query_prefix: "query: "
            vectors:
              token: abc
            """
        let settings = try await load(
            yaml: yaml,
            environment: ["PARLEY_RETRIEVAL_TIMEOUT": "2s", "PARLEY_EMBEDDINGS_PASSAGE_PREFIX": "passage: "])
        #expect(settings.embeddings.batch == 16 && settings.embeddings.maxTokens == 512)
        // The blank belongs to it.
        #expect(settings.embeddings.queryPrefix == "query: " && settings.embeddings.passagePrefix == "passage: ")
        #expect(settings.vectorsToken == "abc" && settings.retrieval.timeout == .seconds(2))
        #expect(Settings().retrieval.timeout == .seconds(10) && Settings().embeddings.maxTokens == nil)
    }

    @Test func wrongSettingsOfRetrievalAreNamed() async throws {
        let error = await #expect(throws: SettingsError.self) {
            try await load(
                overrides: [("embeddings.batch", "0"), ("embeddings.max_tokens", "few"), ("retrieval.timeout", "1h")])
        }
        let text = error?.description ?? ""
        for part in ["embeddings.batch is \"0\"", "embeddings.max_tokens is \"few\"", "retrieval.timeout is \"1h\""] {
            #expect(text.contains(part), "\(part) is missing in \(text)")
        }
    }

    @Test func theOpenAIKeyIsHonoured() async throws {
        #expect(try await load(environment: ["OPENAI_API_KEY": "k"]).model.apiKey == "k")
        #expect(
            try await load(environment: ["OPENAI_API_KEY": "k", "PARLEY_MODEL_API_KEY": "own"]).model.apiKey == "own")
    }

    @Test(arguments: [("30s", 30.0), ("10m", 600), ("24h", 86_400), ("250ms", 0.25), ("7d", 604_800), ("0", 0)])
    func durations(_ text: String, _ seconds: Double) { #expect(Quantity.duration(text) == .seconds(seconds)) }

    @Test(arguments: ["", "s", "5", "-1s", "1 year", "infs", "nanms", "1e99h"])
    func noDurations(_ text: String) { #expect(Quantity.duration(text) == nil) }

    @Test(arguments: [("4096", 4096), ("256KiB", 262_144), ("1MiB", 1_048_576), ("1 MiB", 1_048_576), ("2kB", 2000)])
    func sizes(_ text: String, _ bytes: Int) { #expect(Quantity.size(text) == bytes) }

    @Test(arguments: ["", "KiB", "-1", "1.5MiB", "1TB", "99999999999GiB"])
    func noSizes(_ text: String) { #expect(Quantity.size(text) == nil) }
}

@Suite struct RetrievalSettingsTests {
    @Test func whatIsFoundIsDecidedBySettings() async throws {
        let plain = try await Settings.load(file: nil, environment: [:], defaultFile: "none.yaml")
        #expect(plain.retrieval.hybrid && plain.retrieval.minScore == 0 && plain.retrieval.empty == .ask)
        #expect(plain.rerank.url == nil && plain.rerank.candidates == 20 && plain.prompt.refusal == nil)
        let set = try await Settings.load(
            file: nil,
            environment: [
                "PARLEY_RETRIEVAL_HYBRID": "false", "PARLEY_RETRIEVAL_MIN_SCORE": "0.3",
                "PARLEY_RETRIEVAL_EMPTY": "refuse",
                "PARLEY_PROMPT_REFUSAL": "Call us.", "PARLEY_RERANK_URL": "http://r:1/v1",
                "PARLEY_RERANK_CANDIDATES": "7",
                "PARLEY_RETRIEVAL_FILTER": "language=en", "PARLEY_AGENTS_VIP_RETRIEVAL_FILTER": "tag=vip",
                "PARLEY_AGENTS_VIP_RETRIEVAL_EMPTY": "ask", "PARLEY_AGENTS_VIP_RETRIEVAL_MIN_SCORE": "0.5",
                "PARLEY_AGENTS_VIP_RETRIEVAL_HYBRID": "true", "PARLEY_AGENTS_VIP_PROMPT_REFUSAL": "No.",
            ], defaultFile: "none.yaml")
        #expect(!set.retrieval.hybrid && set.retrieval.minScore == 0.3 && set.retrieval.empty == .refuse)
        #expect(set.prompt.refusal == "Call us." && set.rerank.url == "http://r:1/v1" && set.rerank.candidates == 7)
        let vip = try #require(set.agents["vip"])
        #expect(vip.retrieval.hybrid && vip.retrieval.minScore == 0.5 && vip.retrieval.empty == .ask)
        #expect(vip.prompt.refusal == "No.")
        #expect(set.retrieval.filter == "language=en" && vip.retrieval.filter == "tag=vip")
    }

    @Test(arguments: [
        ("retrieval.hybrid", "maybe", "true, false"), ("retrieval.min_score", "2", "from 0.0 to 1.0"),
        ("retrieval.empty", "shrug", "ask, refuse"), ("rerank.candidates", "0", "from 1 to 100"),
    ])
    func wrongValuesSayWhatIsAllowed(_ key: String, _ value: String, _ allowed: String) async throws {
        let error = await #expect(throws: SettingsError.self) {
            try await Settings.load(file: nil, environment: [:], overrides: [(key, value)], defaultFile: "none.yaml")
        }
        #expect(error?.description.contains(key) == true && error?.description.contains(allowed) == true)
    }

    @Test func aFileSaysTrueAndFalse() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString).yaml")
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data("retrieval:\n  hybrid: false\n  min_score: 0.25\n".utf8).write(to: folder)
        let settings = try await Settings.load(file: folder.path, environment: [:])
        #expect(!settings.retrieval.hybrid && settings.retrieval.minScore == 0.25)
    }
}
