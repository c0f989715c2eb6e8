import Testing

@testable import ParleySettings

/// `model.feed` and what belongs to it.
@Suite struct FeedSettingsTests {
    private func load(_ overrides: [(key: String, value: String)]) async throws -> Settings {
        try await Settings.load(file: nil, environment: [:], overrides: overrides, defaultFile: "none")
    }

    @Test func promptsGoOneCallAfterTheOtherUnlessMoreAreAskedFor() async throws {
        let plain = try await load([("model.feed", "prompts")])
        #expect(plain.model.maxConcurrency == 1 && plain.model.maxBatch == 16 && plain.model.maxBatchTokens == 32_768)
        #expect(plain.worker.prefetch == 64, "a window at least")
        let four = try await load([
            ("model.feed", "prompts"), ("model.max_concurrency", "4"), ("model.max_batch", "32"),
        ])
        #expect(four.model.maxConcurrency == 4 && four.worker.prefetch == 256, "what goes next is here")
        #expect(try await load([]).model.maxConcurrency == 512)
    }

    @Test func anAgentMayBeFedOtherwise() async throws {
        let settings = try await load([("agents.bulk.model.feed", "prompts"), ("agents.bulk.model.template", "llama3")])
        let bulk = try #require(settings.agents["bulk"]?.model)
        #expect(bulk.feed == .prompts && bulk.template == "llama3" && bulk.maxConcurrency == 1)
        #expect(settings.model.feed == .requests && settings.model.maxConcurrency == 512)
    }

    @Test func bulkMayGoInBatches() async throws {
        let settings = try await load([
            ("model.url", "http://h/v1"), ("model.feed", "batch"), ("model.batch_hours", "22-6"),
            ("model.batch_prices", "1, 0.5, 2"), ("agents.day.model.feed", "requests"),
        ])
        #expect(settings.model.feed == .batch && settings.model.maxConcurrency == 512)
        #expect(settings.model.batchHours == .init(start: 22, end: 6))
        #expect(settings.model.batchPrices == [1, 0.5, 2])
        #expect(settings.agents["day"]?.model.feed == .requests)
    }

    @Test func aLimitIsFoundWhereThatIsWanted() async throws {
        let settings = try await load([("model.concurrency", "auto"), ("agents.a.model.concurrency", "fixed")])
        #expect(settings.model.concurrency == .auto && settings.agents["a"]?.model.concurrency == .fixed)
        #expect(try await load([]).model.concurrency == .fixed)
    }

    @Test func streamsMayBeFlushedSeldomAndKept() async throws {
        let settings = try await load([("stream.flush", "250ms"), ("stream.keep", "10m")])
        #expect(settings.stream.flush == .milliseconds(250) && settings.stream.keep == .seconds(600))
        #expect(try await load([]).stream == .init())
    }

    @Test func mistakesAreNamed() async {
        for (key, value, said) in [
            ("model.feed", "streams", "requests, prompts, batch"), ("model.batch_hours", "22", "such as 22-6"),
            ("model.batch_hours", "6-6", "such as 22-6"), ("model.batch_hours", "22-25", "such as 22-6"),
            ("model.feed", "batch", "no batch interface"), ("model.template", "jinja", "chatml, llama3"),
            ("model.max_batch", "0", "from 1 to 1024"),
        ] {
            do {
                _ = try await load([(key, value)])
                Issue.record("accepted \(value)")
            } catch { #expect("\(error)".contains(said), "\(error)") }
        }
    }
}
