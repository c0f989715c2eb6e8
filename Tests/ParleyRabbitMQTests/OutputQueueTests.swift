import Testing

@testable import ParleyRabbitMQ

@Suite("Output")
struct OutputQueueTests {
    private func item(_ method: OutboundMethod) -> OutputQueue.Item { .init(method: method, channel: 1) }

    @Test("methods leave in order, and one that finds no room is the next again")
    func order() throws {
        var queue = OutputQueue()
        queue.append(item(.confirmSelect))
        queue.append(item(.qos(prefetch: 1)))
        let next = queue.next()
        let first = try #require(next)
        #expect(first == item(.confirmSelect))
        queue.putBack(first)
        #expect(queue.next() == first)
        #expect(queue.next() == item(.qos(prefetch: 1)))
        #expect(queue.next() == nil)
    }

    @Test("nothing comes between the pieces of a body")
    func content() {
        var queue = OutputQueue()
        queue.append(item(.confirmSelect))
        queue.begin([1, 2, 3, 4, 5], on: 2)
        var ranges: [Range<Int>] = []
        while queue.isInContent {
            #expect(queue.next() == nil)
            guard let fragment = queue.nextFragment(atMost: 2) else { break }
            #expect(fragment.channel == 2 && fragment.body == [1, 2, 3, 4, 5])
            ranges.append(fragment.range)
        }
        #expect(ranges == [0..<2, 2..<4, 4..<5])
        #expect(queue.nextFragment(atMost: 2) == nil)
        #expect(queue.next() == item(.confirmSelect))
        queue.begin([], on: 2)
        #expect(!queue.isInContent, "an empty body has no pieces")
    }

    @Test("the rest of a body goes with its channel")
    func drop() {
        var queue = OutputQueue()
        queue.begin([1, 2], on: 2)
        queue.drop(1)
        #expect(queue.isInContent)
        queue.drop(2)
        #expect(!queue.isInContent)
    }

    @Test("an allowance ends with its budget; its room bounds what goes as a whole")
    func allowance() {
        var allowance = Allowance(sendBuffer: 425_984, largestWrite: 133_120)
        #expect(allowance.budget == 53_248 && allowance.room == 133_120)
        allowance.spend(53_247)
        #expect(allowance.isLeft)
        allowance.spend(1)
        #expect(!allowance.isLeft && allowance.room == 133_120 - 53_248)
        #expect(Allowance(sendBuffer: 0, largestWrite: 0).isLeft, "something leaves with any buffer")
    }
}
