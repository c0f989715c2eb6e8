import ChatJobs
import Foundation
import ParleyHTTP
import Testing

@testable import Generation

/// Damaged answers: whatever comes, the reader neither traps nor depends on how the bytes were cut.
///
/// Seeds are the recorded answers. `PARLEY_FUZZ=1000000` for more than the few thousand that every run tries.
@Suite struct AnswerFuzzTests {
    private struct Outcome: Equatable {
        var answer: String?
        var code: ErrorCode?
        var deltas: String?
    }

    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            // SplitMix64.
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return z ^ z >> 31
        }
    }

    private let failures: FailureMapping
    private let seeds: [[UInt8]]

    init() throws {
        failures = FailureMapping(url: try HTTPURL("http://h/v1"), apiKey: nil, query: "")
        seeds = RecordedAnswer.all.map { Array(($0.body + $0.chunks.joined()).utf8) }.filter { !$0.isEmpty }
    }

    /// Reads `bytes` in pieces that end at `cuts`.
    private func read(_ bytes: [UInt8], cuts: [Int], keeps: Bool) -> Outcome {
        var reader = AnswerReader(failures, keepsThinking: keeps)
        var deltas = ""
        do {
            var start = 0
            for end in cuts + [bytes.count] where end > start && !reader.isDone {
                deltas += try reader.feed(Array(bytes[start..<end]))
                start = end
            }
            if !reader.isDone { deltas += try reader.end() }
            deltas += try reader.finish()
        } catch let failure as JobFailure {
            return Outcome(code: failure.code)
        } catch {
            switch error as? ExchangeError {
            case .refused(let refusal): return Outcome(code: failures.failure(refusal).code)
            case .failed(let failure): return Outcome(code: failure.code)
            case nil: return Outcome(code: .internal)
            }
        }
        let answer = reader.answer.text
        _ = reader.answer.usage(of: [])
        if !reader.answer.thinking.foundUnopened { #expect(deltas == answer) }
        return Outcome(answer: answer, deltas: reader.answer.thinking.foundUnopened ? nil : deltas)
    }

    private func mutated(_ seed: [UInt8], _ random: inout Random) -> [UInt8] {
        var bytes = seed
        for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            let length = min(bytes.count - place, Int.random(in: 1...24, using: &random))
            switch Int.random(in: 0..<8, using: &random) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(place..<place + length)
            case 2: bytes.insert(contentsOf: bytes[place..<place + length], at: place)
            case 3: bytes.removeSubrange(place...)
            case 4:
                let other = seeds[Int.random(in: 0..<seeds.count, using: &random)]
                let from = Int.random(in: 0..<other.count, using: &random)
                bytes.insert(contentsOf: other[from..<min(other.count, from + 60)], at: place)
            case 5: bytes.insert(contentsOf: Self.words.randomElement(using: &random)?.utf8 ?? "".utf8, at: place)
            case 6:
                bytes[place] =
                    [0x0A, 0x0D, 0x20, 0x22, 0x5C, 0x7B, 0x7D, 0x5B, 0x5D, 0xFF][Int.random(in: 0..<10, using: &random)]
            default: bytes.swapAt(place, place + length - 1)
            }
        }
        return bytes
    }

    private static let words = [
        "<think>", "</think>", "<|channel|>final<|message|>", "◁/think▷", "`<think>`", "data: ", "\n\n", "\r\n",
        "data: [DONE]\n\n",
        "error: {}\n\n", "event: error\n", "{\"error\":{\"code\":429}}", "-1e999", "\\ud800", "null", "\u{FEFF}",
        "\"finish_reason\":\"stop\"", "\"usage\":{\"prompt_tokens\":-1e308,\"completion_tokens\":1e999}",
    ]

    @Test func theReaderSurvivesAnythingAndCutsDoNotMatter() async {
        let rounds = ProcessInfo.processInfo.environment["PARLEY_FUZZ"].flatMap(Int.init) ?? 4000
        var random = Random(state: 11)
        var answers = 0
        for round in 0..<rounds {
            // Other tests run on the same few threads.
            if round % 20 == 0 { await Task.yield() }
            let bytes = mutated(seeds[round % seeds.count], &random)
            let keeps = round % 5 == 0
            let whole = read(bytes, cuts: [], keeps: keeps)
            if whole.answer != nil { answers += 1 }
            var cuts = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                Int.random(in: 0...bytes.count, using: &random)
            }
            cuts.sort()
            let pieces = read(bytes, cuts: cuts, keeps: keeps)
            #expect(
                pieces == whole,
                "round \(round), cut at \(cuts): \(String(decoding: bytes.prefix(2000), as: UTF8.self))")
            if pieces != whole { return }
        }
        // A fuzz that only ever finds garbage tests little.
        #expect(answers > rounds / 10)
    }

    @Test func anyByteMayBeTheLastOfAPiece() async {
        for seed in seeds {
            await Task.yield()
            let whole = read(seed, cuts: [], keeps: false)
            #expect(read(seed, cuts: Array(0..<seed.count), keeps: false) == whole)
            for cut in stride(from: 1, to: seed.count, by: 7) {
                #expect(read(seed, cuts: [cut], keeps: false) == whole)
            }
        }
    }
}
