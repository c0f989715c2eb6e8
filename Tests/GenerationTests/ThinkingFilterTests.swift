import ChatJobs
import Testing

@testable import Generation

/// Thinking taken out of a text, however it is cut.
@Suite struct ThinkingFilterTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let text: String
        let answer: String
        var isCut = false
        var expectation = ThinkingFilter.Expectation.no
        var testDescription: String { text }
    }

    static let rows: [Row] = [
        Row(text: "Tuesday.", answer: "Tuesday."),
        Row(text: "", answer: ""),
        Row(text: "  \n", answer: ""),
        Row(text: " Tuesday.", answer: " Tuesday."),
        Row(text: "<think>hm</think>Tuesday.", answer: "Tuesday."),
        Row(text: "\n<think>\nhm <b>\n</think>\n\nTuesday. \n", answer: "Tuesday. \n"),
        Row(text: "<THINK>hm</Think> Tuesday.", answer: "Tuesday."),
        Row(text: "<think></think>Tuesday.", answer: "Tuesday."),
        Row(text: "<think>a</think><think>b</think>Tuesday.", answer: "Tuesday."),
        Row(text: "<think>a < b </thin </think>Tuesday.", answer: "Tuesday."),
        Row(text: "<thinking>a</think></thinking>Tuesday.", answer: "Tuesday."),
        Row(text: "<thought>a</thought>Tuesday.", answer: "Tuesday."),
        Row(text: "On <thought> and </thought>.", answer: "On <thought> and </thought>."),
        Row(text: "[THINK]a[/THINK]Tuesday [1].", answer: "Tuesday [1]."),
        Row(text: "◁think▷a◁/think▷Tuesday “so” — 你好.", answer: "Tuesday “so” — 你好."),
        Row(text: "<seed:think>a</seed:think>Tuesday.", answer: "Tuesday."),
        Row(text: "<|START_THINKING|>a<|END_THINKING|>Tuesday.", answer: "Tuesday."),
        Row(text: "<|channel|>final<|message|>Tuesday.<|return|>", answer: "Tuesday."),
        Row(text: "Tuesday.<think>a</think> Or Monday.", answer: "Tuesday. Or Monday."),
        // Not closed.
        Row(text: "<think>a", answer: ""),
        Row(text: "<think>a", answer: "", isCut: true),
        Row(text: "Tuesday. <think>a", answer: "Tuesday. ", isCut: true),
        Row(text: "Tuesday. <think>a</thi", answer: "Tuesday. <think>a</thi"),
        Row(text: "Tuesday <thin", answer: "Tuesday <thin"),
        Row(text: "Tuesday <", answer: "Tuesday <"),
        Row(text: "<", answer: "<"),
        // Text.
        Row(text: "Write `<think>` and `</think>` so.", answer: "Write `<think>` and `</think>` so."),
        Row(text: "Use `<think>draft</think>` so.", answer: "Use `<think>draft</think>` so."),
        Row(text: "a < b <thing> </thing> <<think", answer: "a < b <thing> </thing> <<think"),
        // Expected.
        Row(text: "hm</think>Tuesday.", answer: "Tuesday.", expectation: .perhaps),
        Row(text: "<think>hm</think>Tuesday.", answer: "Tuesday.", expectation: .yes),
        Row(text: "Tuesday.", answer: "Tuesday.", expectation: .perhaps),
        Row(text: "Tuesday.", answer: "Tuesday.", isCut: true, expectation: .perhaps),
        Row(text: "Tuesday.", answer: "Tuesday.", expectation: .yes),
        Row(text: "The user", answer: "", isCut: true, expectation: .yes),
        Row(text: "<think>The user", answer: "", expectation: .perhaps),
    ]

    /// `text` in pieces of `size` characters.
    private func read(_ row: Row, _ size: Int) -> (ThinkingFilter, [String]) {
        var filter = ThinkingFilter()
        filter.expect(row.expectation)
        var added: [String] = []
        var rest = row.text[...]
        while !rest.isEmpty {
            added.append(filter.feed(String(rest.prefix(size))))
            rest = rest.dropFirst(size)
        }
        added.append(filter.end(isCut: row.isCut))
        return (filter, added)
    }

    @Test(arguments: rows) func isTakenOut(_ row: Row) {
        for size in 1...max(1, row.text.count) {
            let (filter, added) = read(row, size)
            #expect(filter.answer == row.answer, "in pieces of \(size)")
            if !filter.foundUnopened { #expect(added.joined() == filter.answer, "in pieces of \(size)") }
        }
    }

    @Test func whatWasNeverOpenedIsThinkingOnceItIsClosed() {
        let row = Row(text: "The user wants. </think>\n\nTuesday.", answer: "Tuesday.")
        for size in 1...row.text.count {
            let (filter, _) = read(row, size)
            #expect(filter.answer == row.answer)
            #expect(filter.foundUnopened)
        }
    }

    @Test func nothingIsHeldBackLongerThanItMustBe() {
        var filter = ThinkingFilter()
        #expect(filter.feed("Tues") == "Tues")
        #expect(filter.feed("day <") == "day ")
        #expect(filter.feed("b>.") == "<b>.")
        #expect(filter.feed("<think>x") == "")
        #expect(filter.feed("</think>!") == "!")
    }

    @Test func thinkingThatComesApartReleasesWhatWasHeld() {
        var filter = ThinkingFilter()
        filter.expect(.perhaps)
        #expect(filter.feed("Tues") == "")
        #expect(filter.thinkingComesApart() == "Tues")
        #expect(filter.feed("day.") == "day.")
    }
}

/// The model as a whole, thinking kept or learnt of.
@Suite struct ThinkingTests {
    @Test func keptThinkingStandsInFront() async throws {
        let apart = #"{"choices":[{"message":{"content":"Tuesday.","reasoning_content":"hm"},"finish_reason":"stop"}]}"#
        let inside = #"{"choices":[{"message":{"content":"<think>hm</think>Tuesday."},"finish_reason":"stop"}]}"#
        for (body, answer) in [
            (apart, "<think>\nhm\n</think>\n\nTuesday."), (inside, "<think>hm</think>Tuesday."),
        ] {
            let server = try FakeServer { _ in [.answer(200, body)] }
            defer { server.stop() }
            let model = try chatModel(server, behaviour: ChatBehaviour(keepsThinking: true))
            for deltas in [nil, Deltas()] {
                let made = try await model.generate(GenerationRequest(query: "q"), onDelta: deltas?.handler)
                #expect(made.answer == answer)
                #expect(deltas == nil || deltas?.text == answer)
            }
        }
    }

    @Test func keptThinkingAloneIsNoAnswer() async throws {
        let server = try FakeServer { _ in
            [.answer(200, #"{"choices":[{"message":{"content":"<think>hm</think>"},"finish_reason":"stop"}]}"#)]
        }
        defer { server.stop() }
        let model = try chatModel(server, behaviour: ChatBehaviour(keepsThinking: true))
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
        }
        #expect(failed?.code == .modelUnavailable)
    }

    @Test func aModelThatBeginsInThoughtIsKnownAfterOnce() async throws {
        let pieces = ["The user ", "wants.</think>Tues", "day."].map {
            "data: {\"choices\":[{\"delta\":{\"content\":\"\($0)\"}}]}\n\n"
        }
        let server = try FakeServer { _ in
            [.streamHead] + pieces.map { .chunk($0) } + [.chunk("data: [DONE]\n\n"), .streamEnd]
        }
        defer { server.stop() }
        let model = try chatModel(server)
        let first = try await model.generate(GenerationRequest(query: "q"), onDelta: Deltas().handler)
        #expect(first.answer == "Tuesday.")
        let deltas = Deltas()
        let second = try await model.generate(GenerationRequest(query: "q"), onDelta: deltas.handler)
        #expect(second.answer == "Tuesday.")
        #expect(deltas.text == "Tuesday.")
    }
}
