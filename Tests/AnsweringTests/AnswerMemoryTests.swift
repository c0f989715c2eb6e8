import ChatJobs
import Testing

@testable import Answering

@Suite struct AnswerMemoryTests {
    private func key(_ number: Int) -> AnswerKey {
        var digest = [UInt8](repeating: 0, count: 16)
        var mixed = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
        for index in 0..<16 {
            digest[index] = UInt8(truncatingIfNeeded: mixed >> 56)
            mixed = mixed &* 0xBF58_476D_1CE4_E5B9 &+ UInt64(index)
        }
        return AnswerKey(digest, owner: "")
    }

    private func answer(_ text: String, bytes: Int = 1000) -> KeptAnswer {
        let padding = String(repeating: " ", count: max(0, bytes - text.utf8.count))
        return KeptAnswer(
            Answer(
                text: text + padding, model: "m", usage: Usage(promptTokens: 1, completionTokens: 1), sources: []),
            made: Timestamp(milliseconds: 0), freshUntil: Timestamp(milliseconds: 60_000))
    }

    private func keep(_ number: Int, in memory: inout AnswerMemory, now: Duration = .zero, bytes: Int = 1000) {
        memory.keep(
            answer("\(number)", bytes: bytes), as: key(number), now: now, life: .seconds(60), stale: .seconds(10))
    }

    @Test func whatIsKeptIsThereUntilItExpiresAndAWhileMayStandIn() {
        var memory = AnswerMemory(capacity: 1 << 20)
        keep(1, in: &memory)
        #expect(memory.answer(to: key(1), now: .seconds(59))?.isFresh == true)
        #expect(memory.answer(to: key(1), now: .seconds(61))?.isFresh == false)
        #expect(memory.answer(to: key(1), now: .seconds(71)) == nil)
        #expect(memory.count == 0 && memory.bytes == 0)
    }

    @Test func itIsBoundedByBytes() {
        var memory = AnswerMemory(capacity: 100_000)
        for number in 0..<10_000 {
            keep(number, in: &memory, bytes: 500 + number % 2000)
            #expect(memory.bytes <= 100_000)
        }
        #expect(memory.count > 20)
    }

    @Test func whatIsTooLargeIsNotKept() {
        var memory = AnswerMemory(capacity: 100_000)
        keep(1, in: &memory, bytes: 50_000)
        #expect(memory.count == 0)
    }

    @Test func keepingAnewReplaces() {
        var memory = AnswerMemory(capacity: 1 << 20)
        keep(1, in: &memory)
        keep(1, in: &memory, now: .seconds(50))
        #expect(memory.count == 1)
        #expect(memory.answer(to: key(1), now: .seconds(100))?.isFresh == true)
    }

    @Test func whatIsAskedForOftenOutlivesAThousandThatCameOnce() {
        var memory = AnswerMemory(capacity: 200_000)
        for number in 0..<20 {
            keep(number, in: &memory)
            for _ in 0..<5 { _ = memory.answer(to: key(number), now: .zero) }
        }
        for number in 1000..<3000 {
            _ = memory.answer(to: key(number), now: .zero)
            keep(number, in: &memory)
        }
        let left = (0..<20).count { memory.answer(to: key($0), now: .zero) != nil }
        #expect(left >= 18)
    }

    /// Questions drawn as people ask them (Zipf, exponent 1), a memory for one in twenty of them.
    @Test func itFindsMoreThanTheLeastRecentlyUsedWould() {
        var random = SplitMix(state: 7)
        let weights = (1...20_000).reduce(into: [Double]()) { $0.append(($0.last ?? 0) + 1 / Double($1)) }
        let total = weights[weights.count - 1]
        func draw() -> Int {
            let wanted = Double(random.next() >> 11) / Double(1 << 53) * total
            var (low, high) = (0, weights.count - 1)
            while low < high {
                let middle = (low + high) / 2
                if weights[middle] < wanted { low = middle + 1 } else { high = middle }
            }
            return low
        }
        var memory = AnswerMemory(capacity: 1000 * 1512)
        var recent: [Int: Int] = [:]
        var hits = 0
        var recentHits = 0
        for step in 0..<60_000 {
            let question = draw()
            if memory.answer(to: key(question), now: .zero) != nil { hits += 1 } else { keep(question, in: &memory) }
            if recent[question] != nil { recentHits += 1 }
            recent[question] = step
            if recent.count > 1000, let oldest = recent.min(by: { $0.value < $1.value })?.key { recent[oldest] = nil }
        }
        #expect(hits > recentHits + 1000, "\(hits) of 60,000; the least recently used: \(recentHits)")
    }

    private struct SplitMix {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}

@Suite struct KeptAnswerTests {
    private let kept = KeptAnswer(
        Answer(
            text: "Ja, \"so\".", model: "m", usage: Usage(promptTokens: 3, completionTokens: 4, cachedTokens: 1),
            finishReason: .length, sources: [Source(id: "a#1", score: 0.5, title: "A", text: "Text.")]),
        made: Timestamp(milliseconds: 12), freshUntil: Timestamp(milliseconds: 34))

    @Test func itIsReadAsItWasWritten() { #expect(KeptAnswer(decoding: kept.encoded()) == kept) }

    /// As it was written but for one number, which somebody who may write to Redis chose.
    @Test(arguments: [
        ("\"made\":12", "\"made\":-9223372036854775808"), ("\"made\":12", "\"made\":9223372036854775807"),
        ("\"fresh_until\":34", "\"fresh_until\":1e18"), ("[3,4,1]", "[-9223372036854775808,4,1]"),
        ("[3,4,1]", "[3,9223372036854775807,1]"), ("[3,4,1]", "[3,4,1e300,0]"),
    ])
    func absurdNumbersAreAMiss(right: String, wrong: String) {
        let text = String(decoding: kept.encoded(), as: UTF8.self)
        #expect(text.contains(right))
        #expect(KeptAnswer(decoding: Array(text.replacing(right, with: wrong).utf8)) == nil)
    }

    @Test(arguments: ["", "{", "[]", "null", #"{"v":2}"#, #"{"v":1,"made":1,"fresh_until":1,"answer":1}"#])
    func whatIsNoneOfThisVersionIsAMiss(text: String) { #expect(KeptAnswer(decoding: Array(text.utf8)) == nil) }
}
