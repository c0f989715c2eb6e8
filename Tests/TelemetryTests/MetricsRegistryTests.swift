import Glibc
import Metrics
import Testing

@testable import Telemetry

@Suite struct MetricsRegistryTests {
    let registry = MetricsRegistry(version: "1.2.3")

    /// The lines about one name, in the order they are rendered.
    private func lines(about name: String) -> [String] {
        registry.render().split(separator: "\n").map(String.init).filter {
            $0.hasPrefix(name) || $0.hasPrefix("# HELP \(name) ") || $0.hasPrefix("# TYPE \(name) ")
        }
    }

    @Test func countersAddUpWholeStepsAndFractions() {
        registry.describe("parley_tokens_total", "Tokens, \\ and\nmore.")
        Counter(label: "parley_tokens_total", factory: registry).increment(by: 41)
        FloatingPointCounter(label: "parley_tokens_total", factory: registry).increment(by: 1.5)
        #expect(
            lines(about: "parley_tokens_total") == [
                "# HELP parley_tokens_total Tokens, \\\\ and\\nmore.", "# TYPE parley_tokens_total counter",
                "parley_tokens_total 42.5",
            ])
        Counter(label: "parley_tokens_total", factory: registry).reset()
        #expect(registry.value(of: "parley_tokens_total") == 0)
    }

    @Test func aCounterNeverFalls() {
        let counter = registry.makeCounter(label: "c", dimensions: [])
        counter.increment(by: 5)
        counter.increment(by: -3)
        registry.makeFloatingPointCounter(label: "c", dimensions: []).increment(by: .nan)
        #expect(registry.value(of: "c") == 5)
    }

    @Test func gaugesAndMetersHoldTheLastValue() {
        let gauge = Gauge(label: "parley_jobs_in_flight", factory: registry)
        gauge.record(7)
        gauge.record(3)
        let meter = Meter(label: "parley_depth", factory: registry)
        meter.set(2.5)
        meter.increment(by: 1.0)
        meter.decrement()
        #expect(
            lines(about: "parley_jobs_in_flight") == [
                "# TYPE parley_jobs_in_flight gauge", "parley_jobs_in_flight 3",
            ])
        #expect(registry.value(of: "parley_depth") == 2.5)
    }

    @Test func recordersBecomeHistogramsInPowersOfTwo() {
        let recorder = Recorder(label: "parley_window_size", factory: registry)
        for size in [1, 2, 3, 64, 4097] { recorder.record(size) }
        let lines = lines(about: "parley_window_size")
        #expect(
            lines.prefix(4) == [
                "# TYPE parley_window_size histogram", "parley_window_size_bucket{le=\"1\"} 1",
                "parley_window_size_bucket{le=\"2\"} 2", "parley_window_size_bucket{le=\"4\"} 3",
            ])
        #expect(
            lines.suffix(4) == [
                "parley_window_size_bucket{le=\"4096\"} 4", "parley_window_size_bucket{le=\"+Inf\"} 5",
                "parley_window_size_sum 4167", "parley_window_size_count 5",
            ])
    }

    @Test func timersBecomeHistogramsOfSeconds() {
        let timer = Timer(
            label: "parley_stage_duration_seconds", dimensions: [("stage", "generate")], factory: registry)
        timer.recordNanoseconds(500_000)
        timer.recordMilliseconds(800)
        timer.recordSeconds(61)
        timer.recordNanoseconds(-5)
        let lines = lines(about: "parley_stage_duration_seconds")
        #expect(lines[1] == "parley_stage_duration_seconds_bucket{stage=\"generate\",le=\"0.0005\"} 2")
        #expect(lines.contains("parley_stage_duration_seconds_bucket{stage=\"generate\",le=\"0.75\"} 2"))
        #expect(lines.contains("parley_stage_duration_seconds_bucket{stage=\"generate\",le=\"1\"} 3"))
        #expect(lines.contains("parley_stage_duration_seconds_bucket{stage=\"generate\",le=\"60\"} 3"))
        #expect(lines.contains("parley_stage_duration_seconds_sum{stage=\"generate\"} 61.8005"))
        #expect(lines.last == "parley_stage_duration_seconds_count{stage=\"generate\"} 4")
    }

    @Test func aTimerSaysItsUnitInItsName() {
        Timer(label: "ask.duration", factory: registry).recordSeconds(1)
        #expect(registry.value(of: "ask_duration_seconds") == 1)
    }

    @Test func infinitiesDoNotSpoilASum() {
        let recorder = Recorder(label: "r", factory: registry)
        recorder.record(Double.infinity)
        recorder.record(Double.nan)
        recorder.record(2.0)
        #expect(registry.histogram(of: "r")?.sum == 2)
        #expect(registry.histogram(of: "r")?.count == 1)
    }

    @Test func theSameLabelAndDimensionsAreTheSameSeries() {
        let first = registry.makeCounter(label: "c", dimensions: [("a", "1"), ("b", "2")])
        let second = registry.makeCounter(label: "c", dimensions: [("b", "2"), ("a", "1")])
        #expect(first === second)
        #expect(registry.makeCounter(label: "c", dimensions: [("a", "1")]) !== first)
    }

    @Test func namesAndLabelsAreMadeValid() {
        registry.makeCounter(
            label: "9 jobs.per-tenant:é", dimensions: [("le", "1"), ("a-b", "q\"\\\n中"), ("a.b", "2"), ("__x", "3")]
        ).increment(by: 1)
        #expect(
            registry.render().contains(
                "\n_9_jobs_per_tenant:_{a_b=\"q\\\"\\\\\\n中\",a_b_=\"2\",label___x=\"3\",label_le=\"1\"} 1\n"))
    }

    @Test func theOrderIsDeterministicAndHeadersComeOnce() {
        for status in ["succeeded", "failed", "expired"] {
            registry.makeCounter(label: "parley_jobs_total", dimensions: [("status", status)]).increment(by: 1)
        }
        registry.makeCounter(label: "a_total", dimensions: []).increment(by: 1)
        #expect(
            registry.render().hasPrefix(
                """
                # TYPE a_total counter
                a_total 1
                # TYPE parley_jobs_total counter
                parley_jobs_total{status="expired"} 1
                parley_jobs_total{status="failed"} 1
                parley_jobs_total{status="succeeded"} 1

                """))
        #expect(registry.total(of: "parley_jobs_total") == 3)
        #expect(registry.total(of: "nothing") == 0)
        #expect(registry.value(of: "parley_jobs_total") == nil)
    }

    @Test func theFirstTypeOfANameWins() {
        registry.makeCounter(label: "x", dimensions: []).increment(by: 2)
        registry.makeMeter(label: "x", dimensions: []).set(Int64(9))
        registry.makeMeter(label: "process_open_fds", dimensions: []).set(Int64(-1))
        let text = registry.render()
        #expect(text.contains("# TYPE x counter\nx 2\n"))
        #expect(text.contains("# x was also asked for as another type"))
        #expect(!text.contains("process_open_fds -1"))
    }

    @Test func labelsFromOutsideCannotFillTheMemory() {
        for user in 0..<(MetricsRegistry.maximumSeriesPerName + 50) {
            registry.makeCounter(label: "c", dimensions: [("user", "\(user)")]).increment(by: 1)
        }
        #expect(registry.value(of: "c", dimensions: [("overflow", "true")]) == 50)
        #expect(registry.total(of: "c") == Double(MetricsRegistry.maximumSeriesPerName + 50))
    }

    @Test func aDestroyedMetricDisappears() {
        let counter = Counter(label: "gone_total", factory: registry)
        counter.increment()
        counter.destroy()
        #expect(!registry.render().contains("gone_total"))
        Gauge(label: "gone_total", factory: registry).record(1)
        #expect(registry.value(of: "gone_total") == 1)
    }

    @Test func quantilesAreEstimatedWithinTheirBucket() throws {
        let timer = Timer(label: "t_seconds", factory: registry)
        for _ in 0..<90 { timer.recordMilliseconds(1) }
        let before = try #require(registry.histogram(of: "t_seconds"))
        for _ in 0..<10 { timer.recordMilliseconds(800) }
        let p50 = try #require(registry.quantile(0.5, of: "t_seconds"))
        let p99 = try #require(registry.quantile(0.99, of: "t_seconds"))
        #expect(p50 > 0.0005 && p50 <= 0.001)
        #expect(p99 > 0.75 && p99 <= 1)
        let recent = try #require(registry.histogram(of: "t_seconds")).since(before)
        #expect(recent.count == 10)
        #expect(try #require(recent.quantile(0.01)) > 0.75)
        #expect(abs(try #require(recent.mean) - 0.8) < 1e-9)
        timer.recordSeconds(500)
        #expect(registry.quantile(1, of: "t_seconds") == 60)
        #expect(registry.quantile(0.5, of: "unknown") == nil)
    }

    @Test func theProcessIsDescribed() throws {
        let text = registry.render()
        #expect(
            text.contains("\nparley_build_info{version=\"1.2.3\"} 1\n") || text.contains("gauge\nparley_build_info"))
        func sample(_ name: String) throws -> Double {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") })
            return try #require(Double(line.dropFirst(name.count + 1)))
        }
        #expect(try sample("process_resident_memory_bytes") > 1_000_000)
        #expect(try sample("process_open_fds") >= 3)
        let limit = try sample("process_max_fds")
        #expect(try sample("process_open_fds") <= limit)
        #expect(try sample("process_cpu_seconds_total") > 0)
        let started = try sample("process_start_time_seconds")
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        #expect(started < Double(now.tv_sec) + 2 && started > Double(now.tv_sec) - 7200)
    }

    @Test func everyLineIsOfTheTextFormat() throws {
        registry.makeTimer(label: "t", dimensions: [("a", "x y{}\"")]).recordNanoseconds(1)
        registry.makeMeter(label: "m", dimensions: []).set(-Double.infinity)
        registry.makeMeter(label: "n", dimensions: []).set(1e-7)
        let sample =
            /[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)+\})? (-?[0-9.e+-]+|[+-]Inf|NaN)/
        let text = registry.render()
        #expect(text.hasSuffix("\n"))
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            let isComment = line.hasPrefix("# HELP ") || line.hasPrefix("# TYPE ")
            let isSample = try sample.wholeMatch(in: line) != nil
            #expect(isComment || isSample, "\(line)")
        }
    }

    @Test func nothingIsLostBetweenThreads() async {
        let registry = registry
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<2000 {
                        registry.makeCounter(label: "c", dimensions: [("k", "v")]).increment(by: 1)
                        registry.makeRecorder(label: "h", dimensions: [], aggregate: true).record(Int64(3))
                        registry.makeFloatingPointCounter(label: "f", dimensions: []).increment(by: 0.5)
                    }
                    _ = registry.render()
                }
            }
        }
        #expect(registry.total(of: "c") == 16_000)
        #expect(registry.histogram(of: "h")?.sum == 48_000)
        #expect(registry.histogram(of: "h")?.counts[2] == 16_000)
        #expect(registry.value(of: "f") == 8000)
    }
}
