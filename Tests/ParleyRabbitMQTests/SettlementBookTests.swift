import Testing

@testable import ParleyRabbitMQ

@Suite("Settlement book")
struct SettlementBookTests {
    @Test("a run from the lowest tag leaves as one multiple acknowledgement")
    func run() {
        var book = SettlementBook()
        for n in 1...5 as ClosedRange<UInt64> { _ = book.delivered(n) }
        for n in [3, 1, 2, 5] as [UInt64] { #expect(book.acknowledge(n) == true) }
        #expect(book.next() == .acknowledge(3, multiple: true))
        #expect(book.next() == .acknowledge(5, multiple: false))
        #expect(book.next() == nil)
        #expect(book.acknowledge(4) == true)
        #expect(book.next() == .acknowledge(4, multiple: false))
        #expect(book.next() == nil)
        #expect(book.outstanding == 0)
    }

    @Test("a rejection leaves before the multiple acknowledgement that covers its tag")
    func rejectFirst() {
        var book = SettlementBook()
        for n in 1...3 as ClosedRange<UInt64> { _ = book.delivered(n) }
        #expect(book.acknowledge(1) == true)
        #expect(book.acknowledge(3) == true)
        #expect(book.reject(2, requeue: true) == true)
        #expect(book.next() == .reject(2, requeue: true))
        #expect(book.next() == .acknowledge(3, multiple: true))
        #expect(book.next() == nil)
    }

    @Test("a tag settles once, and only when it was delivered")
    func once() {
        var book = SettlementBook()
        _ = book.delivered(1)
        #expect(book.acknowledge(1) == true)
        #expect(book.acknowledge(1) == false)
        #expect(book.reject(1, requeue: true) == false)
        #expect(book.acknowledge(2) == false)
        #expect(book.next() == .acknowledge(1, multiple: false))
        #expect(book.acknowledge(1) == false)
    }

    @Test("tags that were left out are not settled with those about them")
    func gap() {
        var book = SettlementBook()
        #expect(book.delivered(1) == .expected)
        #expect(book.delivered(3) == .afterGap)
        #expect(book.delivered(4) == .expected)
        #expect(book.delivered(3) == .repeated)
        #expect(book.delivered(0) == .repeated)
        #expect(book.delivered(1 << 60) == .beyondBounds)
        #expect(book.delivered(.max) == .beyondBounds)
        #expect(book.outstanding == 3)
        #expect(book.acknowledge(2) == false)
        for tag in [1, 3, 4] as [UInt64] { #expect(book.acknowledge(tag) == true) }
        for tag in [1, 3, 4] as [UInt64] { #expect(book.next() == .acknowledge(tag, multiple: false)) }
        #expect(book.next() == nil)
        for tag in 5...6 as ClosedRange<UInt64> {
            #expect(book.delivered(tag) == .expected)
            #expect(book.acknowledge(tag) == true)
            #expect(book.next() == .acknowledge(tag, multiple: false))
        }
    }

    @Test("no order of settling acknowledges a tag twice or one that is outstanding", arguments: 0..<200)
    func random(seed: UInt64) {
        var state = seed &* 6_364_136_223_846_793_005 &+ 1
        func draw(_ n: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % n
        }
        var book = SettlementBook()
        var delivered: UInt64 = 0
        var open: Set<UInt64> = []
        var brokerOpen: Set<UInt64> = []
        var rejected: Set<UInt64> = []
        for _ in 0..<300 {
            switch draw(4) {
            case 0, 1:
                delivered += 1
                _ = book.delivered(delivered)
                open.insert(delivered)
                brokerOpen.insert(delivered)
            case 2:
                guard delivered > 0 else { continue }
                let tag = draw(delivered) + 1
                let reject = draw(4) == 0
                let expected = open.remove(tag) != nil
                if reject, expected { rejected.insert(tag) }
                let done = reject ? book.reject(tag, requeue: true) : book.acknowledge(tag)
                #expect(done == expected)
            default:
                while let settlement = book.next() {
                    switch settlement {
                    case .acknowledge(let tag, let multiple):
                        #expect(brokerOpen.contains(tag))
                        let covered: Set<UInt64> = multiple ? brokerOpen.filter { $0 <= tag } : [tag]
                        #expect(covered.isDisjoint(with: open) && covered.isDisjoint(with: rejected))
                        brokerOpen.subtract(covered)
                    case .reject(let tag, _):
                        let wasOpen = brokerOpen.remove(tag) != nil
                        let wasRejected = rejected.remove(tag) != nil
                        #expect(wasOpen && wasRejected)
                    }
                }
                #expect(brokerOpen == open)
            }
        }
    }
}
