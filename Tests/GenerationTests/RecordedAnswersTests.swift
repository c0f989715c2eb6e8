import ChatJobs
import Foundation
import ParleyHTTP
import ParleyJSON
import Testing

@testable import Generation

/// Answers of real servers, through the model over HTTP.
@Suite struct RecordedAnswersTests {
    @Test func theRecordingsAreThere() {
        #expect(RecordedAnswer.all.count > 300)
        #expect(RecordedAnswer.all.contains { $0.id == "chat-partial-finish-error" })
    }

    @Test(arguments: RecordedAnswer.all) func isUnderstood(_ recorded: RecordedAnswer) async throws {
        for streams in recorded.streaming {
            let server = try FakeServer { recorded.isAnswer(to: $0) ? recorded.steps : RecordedAnswer.good($0) }
            defer { server.stop() }
            let model = try chatModel(server, apiKey: "sk-secret")
            let deltas = streams ? Deltas() : nil
            let began = ContinuousClock.now
            let outcome: Result<Generation, JobFailure>
            do throws(JobFailure) {
                outcome = .success(try await model.generate(recorded.request, onDelta: deltas?.handler))
            } catch {
                outcome = .failure(error)
            }
            let comment: Comment = "\(recorded.id), \(streams ? "streaming" : "whole"): \(outcome)"
            switch outcome {
            case .success(let answer): check(answer, deltas, recorded, comment)
            case .failure(let failure): check(failure, recorded, comment)
            }
            // Far below the request's time: nothing was waited for that would never come.
            #expect(ContinuousClock.now - began < .seconds(120), comment)
            for name in recorded.json["keeps"]?.elements.compactMap(\.string) ?? [] {
                #expect(server.requests.last?.json?[name] != nil, comment)
            }
        }
    }

    private func check(_ answer: Generation, _ deltas: Deltas?, _ recorded: RecordedAnswer, _ comment: Comment) {
        let expectation = recorded.expectation
        #expect(recorded.isSuccess, comment)
        if let text = expectation?["answer"]?.string, text != "…" {
            #expect(answer.answer == text, comment)
        } else {
            #expect(!answer.answer.isEmpty, comment)
        }
        if let usage = expectation?["usage"] {
            #expect(answer.usage.promptTokens == usage["prompt"]?.int, comment)
            #expect(answer.usage.completionTokens == usage["completion"]?.int, comment)
            if let cached = usage["cached"]?.int { #expect(answer.usage.cachedTokens == cached, comment) }
        }
        #expect(answer.usage.promptTokens > 0 && answer.usage.completionTokens > 0, comment)
        if let deltas, expectation?["deltas"]?.string != "free" { #expect(deltas.text == answer.answer, comment) }
        #expect(deltas?.all.contains("") != true, comment)
    }

    private func check(_ failure: JobFailure, _ recorded: RecordedAnswer, _ comment: Comment) {
        let expectation = recorded.expectation
        #expect(!recorded.isSuccess, comment)
        let codes = [expectation?["code"]?.string ?? ""] + texts(expectation?["alternatives"])
        #expect(codes.contains(failure.code.rawValue), comment)
        for part in texts(expectation?["says"]) { #expect(failure.message.contains(part), comment) }
        for part in texts(expectation?["mustNotSay"]) + ["sk-secret"] {
            #expect(!failure.message.contains(part), comment)
        }
        if let retry = expectation?["retry"]?.bool { #expect(failure.code.isRetryable == retry, comment) }
        if let blame = expectation?["blame"]?.string { #expect("\(failure.blame)" == blame, comment) }
        if let seconds = expectation?["retryAfterSeconds"]?.double {
            #expect(failure.retryAfter == .milliseconds(Int((seconds * 1000).rounded(.up))), comment)
        }
        #expect(!failure.message.contains("\n"), comment)
    }

    private func texts(_ value: JSONElement?) -> [String] {
        value?.string.map { [$0] } ?? value?.elements.compactMap(\.string) ?? []
    }
}
