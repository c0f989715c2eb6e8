import Glibc
import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// Section 7 and the running worker: configuration, health, metrics, logs.
extension ContractTests {
    @Test(arguments: ["worker", "check", "ask", "ingest"])
    func everyMistakeOfAConfigurationIsNamedAtOnce(_ command: String) async throws {
        let folder = try Folder()
        try folder.write(
            "parley.yaml",
            """
            rabbitmq: {url: "http://x"}
            redis: {url: nonsense}
            worker: {prefetch: many, windw: 3, shutdown_grace: soon}
            model: {url: "ftp://x"}
            embeddings: {url: nonsense}
            vectors: {url: nonsense}
            admin: {listen: nowhere}
            queue: {type: stream}
            results: {ttl_jitter: 7}
            limits: {body: huge}
            log: {level: loud}
            bogus: 1
            """)
        let arguments =
            [command] + (["ask", "ingest"].contains(command) ? ["x"] : []) + ["--config", folder.path + "/parley.yaml"]
        let process = try ParleyProcess(
            arguments, settings: ["rabbitmq.url": "", "redis.url": ""], environment: ["PARLEY_RETRIEVAL_TOP_K": "0"])
        #expect(try await process.exitStatus() == 2)
        for key in [
            "rabbitmq.url", "redis.url", "worker.prefetch", "worker.windw", "worker.shutdown_grace", "model.url",
            "embeddings.url", "vectors.url", "admin.listen", "queue.type", "results.ttl_jitter", "limits.body",
            "log.level", "bogus", "retrieval.top_k",
        ] { #expect(process.errors.contains("\n  \(key) ") || process.errors.contains("\n  \(key):"), "\(key)") }
    }

    @Test func flagsGoBeforeTheEnvironmentAndThatBeforeTheFile() async throws {
        let folder = try Folder()
        try folder.write("parley.yaml", "rabbitmq:\n  url: amqp://127.0.0.1:1/\n")
        let config = folder.path + "/parley.yaml"
        let broker = try #require(Surroundings.rabbitMQ)
        func status(_ environment: String?, _ flag: String) async throws -> Int32 {
            let outcome = try await parley(
                "check", "--config", config, settings: ["rabbitmq.url": flag],
                environment: environment.map { ["PARLEY_RABBITMQ_URL": $0] } ?? [:])
            return outcome.status
        }
        #expect(try await status(nil, "") == 3)
        #expect(try await status(broker, "") == 0)
        #expect(try await status("amqp://127.0.0.1:2/", "") == 3)
        #expect(try await status("amqp://127.0.0.1:2/", broker) == 0)
    }

    @Test func aWorkerTellsHowItIsAndWhatItDoes() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            _ = try await producer.ask(#"{"query":"x"}"#, of: worker)
            _ = try await producer.ask("nonsense", of: worker)
        }
        #expect(try await worker.get("/livez").status == 200)
        #expect(try await worker.get("/readyz").status == 200)
        #expect(try await worker.metric(#"parley_jobs_total{status="succeeded"}"#) == 1)
        // The reply comes before the dead letter, and both before the count.
        _ = try await eventually("the count") {
            try await worker.metric(#"parley_jobs_total{status="failed"}"#) == 1 ? true : nil
        }
        #expect(try await worker.metric(#"parley_dead_letters_total{code="invalid_job"}"#) == 1)
        let metrics = try await worker.get("/metrics").body
        for name in [
            "parley_window_size_bucket", "# HELP parley_loop_lag_seconds ", "parley_loop_lag_seconds_bucket",
            #"parley_http_waiting{service="model"} 0"#, #"parley_http_waiting{service="retrieval"} 0"#,
            #"parley_http_wait_seconds_count{service="model"} 0"#, "parley_log_lines_dropped_total 0",
        ] { #expect(metrics.contains(name), "\(name)") }
        try await worker.stop()
    }

    @Test func logsAreJSONAndKeepQuestionsAndSecretsToThemselves() async throws {
        let model = try await ModelServer()
        let worker = try await Worker.start(["model.url": model.url, "model.api_key": "sk-sesame"])
        try await Producer.with { producer in
            for body in [
                #"{"query":"open secret"}"#, #"{"query":"open secret","options":{"top_k":0}}"#,
                #"{"query":"open secret"#,
            ] { _ = try await producer.ask(body, of: worker) }
        }
        try await worker.stop()
        let lines = worker.log.split(separator: "\n")
        #expect(lines.count > 3)
        for line in lines {
            let json = try JSONDocument(Array(line.utf8)).root
            #expect(json["time"]?.string != nil && json["level"]?.string != nil && json["message"]?.string != nil)
        }
        for secret in ["open secret", "sesame", "guest:guest"] { #expect(!worker.log.contains(secret), "\(secret)") }
    }

    /// As when the program that collects logs stands still.
    @Test func aLogThatNobodyReadsHoldsUpNoJob() async throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        // Full from the beginning: not a byte of the worker's own has room.
        let flags = fcntl(ends[1], F_GETFL)
        _ = fcntl(ends[1], F_SETFL, flags | O_NONBLOCK)
        while write(ends[1], [UInt8](repeating: 10, count: 4096), 4096) > 0 {}
        _ = fcntl(ends[1], F_SETFL, flags)
        try await Producer.with { producer in
            let queue = "contract.\(unique())"
            _ = try await producer.connection.declare(QueueDeclaration(name: queue), channel: producer.channel)
            let worker = Worker(
                queue: queue,
                process: try ParleyProcess(
                    ["worker"],
                    settings: [
                        "queue.name": queue, "admin.listen": "off", "model.url": "builtin:echo",
                        "retrieval.mode": "never", "log.level": "trace",
                    ], standardError: ends[1]))
            for _ in 0..<20 {
                #expect(try await producer.ask(#"{"query":"x"}"#, of: worker).status == "succeeded")
            }
            #expect(try await worker.stop() == 0)
        }
    }

    @Test func aWorkerWaitsForServersThatAreAway() async throws {
        let port = try freePort()
        let worker = try await Worker.start(
            ["rabbitmq.url": "amqp://guest:guest@127.0.0.1:\(port)/", "redis.url": "redis://127.0.0.1:\(port)/0"],
            ready: false)
        _ = try await eventually("the second attempt") {
            try await worker.metric(#"parley_disconnects_total{service="rabbitmq.consumer"}"#) ?? 0 >= 2 ? true : nil
        }
        #expect(try await worker.get("/livez").status == 200)
        let ready = try await worker.get("/readyz")
        #expect(ready.status == 503)
        #expect(ready.body.contains("rabbitmq") && ready.body.contains("redis"))
        #expect(try await worker.stop() == 0)
    }

    @Test func aQueueWithOtherArgumentsIsAdopted() async throws {
        let queue = "contract.adopted.\(unique())"
        try await Producer.with { producer in
            _ = try await producer.connection.declare(
                QueueDeclaration(name: queue, arguments: ["x-max-length": 1000]), channel: producer.channel)
            let worker = try await Worker.start(queue: queue)
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker).status == "succeeded")
            try await worker.stop()
        }
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func anIdleWorkerEndsAtOnce(_ signal: Int32) async throws {
        let worker = try await Worker.start()
        let started = ContinuousClock.now
        #expect(try await worker.stop(signal) == 0)
        #expect(ContinuousClock.now - started < .seconds(10), "the grace of 30 s is not waited for")
    }

    @Test func anAdminAddressInUseEndsWith2() async throws {
        let worker = try await Worker.start()
        let port = try await worker.adminPort
        let second = try await Worker.start(["admin.listen": "127.0.0.1:\(port)"], ready: false)
        #expect(try await second.process.exitStatus() == 2)
        #expect(second.process.errors.contains("admin.listen"))
        try await worker.stop()
    }
}
