import Testing

@testable import ParleyRedis

@Suite struct PendingRepliesTests {
    private let start = ContinuousClock.now

    @Test func repliesGoToThoseWhoWaitInTheirOrder() {
        var replies = PendingReplies<String>()
        replies.expect(1, since: start, "a")
        replies.expect(3, since: start + .seconds(1), "b")
        replies.expect(1, since: start + .seconds(2), "c")
        #expect(text(replies.match(.integer(1))) == "a: [1]")
        #expect(replies.oldest == start + .seconds(1))
        #expect(text(replies.match(.integer(2))) == "…")
        #expect(text(replies.match(.error("ERR"))) == "…")
        #expect(replies.partial == [.integer(2), .error("ERR")])
        #expect(text(replies.match(.integer(4))) == "b: [2, nil, 4]")
        #expect(replies.partial.isEmpty)
        #expect(!replies.isEmpty)
        #expect(text(replies.match(.integer(5))) == "c: [5]")
        #expect(replies.isEmpty && replies.oldest == nil)
        #expect(text(replies.match(.integer(6))) == "nobody")
    }

    @Test func whoIsAbandonedIsToldInTheSameOrder() {
        var replies = PendingReplies<String>()
        for (index, name) in ["a", "b", "c"].enumerated() {
            replies.expect(2, since: start + .seconds(index), name)
        }
        _ = replies.match(.integer(1))
        var told: [String] = []
        while let (receiver, since) = replies.abandonFirst() {
            #expect(since == start + .seconds(told.count))
            told.append(receiver)
        }
        #expect(told == ["a", "b", "c"])
        #expect(replies.partial.isEmpty)
    }

    private func text(_ match: PendingReplies<String>.Match) -> String {
        func digits(_ values: [RedisValue]) -> String {
            "[\(values.map { $0.string ?? "nil" }.joined(separator: ", "))]"
        }
        return switch match {
        case .nobody: "nobody"
        case .partOfMore: "…"
        case .one(let receiver, let value): "\(receiver): \(digits([value]))"
        case .all(let receiver, let values): "\(receiver): \(digits(values))"
        }
    }

    @Test func aConnectionIsOverWhenItsOldestReplyIsAndAskedWhenNothingIsHeard() {
        func verdict(_ oldest: Duration?, _ heard: Duration, _ now: Duration) -> ReplyWatch.Verdict {
            ReplyWatch.verdict(
                oldest: oldest.map { start + $0 }, heard: start + heard, limit: .seconds(5), now: start + now)
        }
        #expect(verdict(nil, .zero, .seconds(1)) == .lookAgain(at: start + .seconds(15)))
        #expect(verdict(nil, .seconds(4), .seconds(15)) == .lookAgain(at: start + .seconds(19)))
        #expect(verdict(nil, .zero, .seconds(15)) == .ask)
        #expect(verdict(.seconds(20), .zero, .seconds(21)) == .lookAgain(at: start + .seconds(25)))
        #expect(verdict(.seconds(20), .seconds(25), .seconds(25)) == .overdue, "others' replies are not this one's")
    }
}
