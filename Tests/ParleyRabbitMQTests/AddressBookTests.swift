import Testing

@testable import ParleyRabbitMQ

@Suite("Addresses")
struct AddressBookTests {
    private let start = ContinuousClock.now
    private let queue = PublishAddress(exchange: "", routingKey: "q")
    private let other = PublishAddress(exchange: "", routingKey: "other")
    private let direct = PublishAddress(exchange: "", routingKey: "amq.rabbitmq.reply-to.g1dkAA.key")

    private func isCongested(_ ruling: AddressBook.Ruling) -> Bool {
        if case .refuse(let error) = ruling { error.code == .congested } else { false }
    }

    @Test("what goes to an address that refuses is refused at once, but for one at a time that asks again")
    func breaker() {
        var book = AddressBook(budget: 100)
        var now = start
        for _ in 0..<3 { #expect(book.admit(queue, at: now) == .send) }
        for _ in 0..<3 { _ = book.refused(queue, at: now) }
        #expect(isCongested(book.admit(queue, at: now)))
        #expect(book.admit(other, at: now) == .send, "nobody else is concerned")
        var waits: [Duration] = []
        for _ in 0..<8 {
            let asked = now
            while isCongested(book.admit(queue, at: now)) { now += .milliseconds(10) }
            #expect(isCongested(book.admit(queue, at: now)), "one at a time")
            waits.append(now - asked)
            _ = book.refused(queue, at: now)
        }
        #expect(waits.prefix(4) == [.milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800)])
        #expect(waits.max() == AddressBook.longestWait)
        now += AddressBook.longestWait
        #expect(book.admit(queue, at: now) == .send)
        _ = book.accepted(queue, alone: false, at: now)
        for _ in 0..<3 { #expect(book.admit(queue, at: now) == .send) }
    }

    @Test("one that asks and comes to nothing does not keep the next from asking")
    func abandonedProbe() {
        var book = AddressBook(budget: 100)
        _ = book.admit(queue, at: start)
        _ = book.refused(queue, at: start)
        let later = start + .seconds(1)
        #expect(book.admit(queue, at: later) == .send)
        #expect(isCongested(book.admit(queue, at: later)))
        book.abandoned(queue)
        #expect(book.admit(queue, at: later) == .send)
    }

    @Test("a budget bounds what is under way to one address")
    func budget() {
        var book = AddressBook(budget: 2)
        #expect(book.admit(queue, at: start) == .send)
        #expect(book.admit(queue, at: start) == .send)
        #expect(isCongested(book.admit(queue, at: start)))
        #expect(book.admit(other, at: start) == .send)
        _ = book.accepted(queue, alone: false, at: start)
        #expect(book.admit(queue, at: start) == .send)
    }

    @Test("an address of which nothing is confirmed for seconds while others' messages are is sent nothing more")
    func stall() {
        var book = AddressBook(budget: 100)
        #expect(book.admit(queue, at: start) == .send)
        let later = start + .seconds(6)
        #expect(book.admit(queue, at: later) == .send, "the broker answers nobody")
        _ = book.admit(other, at: later)
        _ = book.accepted(other, alone: false, at: later)
        #expect(isCongested(book.admit(queue, at: later)))
        book.unanswered(queue, at: later)
        #expect(isCongested(book.admit(queue, at: later)))
        #expect(book.admit(queue, at: later + .seconds(1)) == .send, "it is asked again")
    }

    @Test("without a budget nobody is refused beforehand, and another channel is tried all the same")
    func noBudget() {
        var book = AddressBook()
        var now = start
        var renewals = 0
        for _ in 0..<30 {
            #expect(book.admit(queue, at: now) == .send)
            if book.refused(queue, at: now) != nil { renewals += 1 }
            now += .milliseconds(100)
        }
        #expect(renewals == 1)
    }

    @Test("a direct reply's address is sent to alone until the broker has read it; what it cannot have made comes last")
    func directReplies() {
        for budget in [nil, 100] {
            var book = AddressBook(budget: budget)
            #expect(book.admit(direct, at: start) == .sendAlone(last: false))
            #expect(book.admit(direct, at: start) == .sendAlone(last: false))
            #expect(book.accepted(direct, alone: true, at: start) == true)
            #expect(book.admit(direct, at: start) == .send)
            _ = book.accepted(direct, alone: false, at: start)
            #expect(book.admit(direct, at: start) == .send, "also when nothing has been under way")
            let nonsense = PublishAddress(exchange: "", routingKey: "amq.rabbitmq.reply-to.AAAA.BBBB")
            #expect(book.admit(nonsense, at: start) == .sendAlone(last: true))
            book.convicted(nonsense, at: start)
            guard case .refuse(let error) = book.admit(nonsense, at: start + .seconds(59)) else {
                Issue.record("tried again at once")
                continue
            }
            #expect(error.code == .unacceptable)
            #expect(book.admit(nonsense, at: start + .seconds(61)) == .sendAlone(last: true))
        }
    }

    @Test("whoever was under way when the broker ended a connection is sent alone as often as it was under way")
    func suspects() {
        var book = AddressBook()
        book.suspect([queue, queue, other], at: start)
        book.abandoned(queue)
        book.abandoned(queue)
        #expect(book.admit(PublishAddress(exchange: "", routingKey: "third"), at: start) == .send)
        #expect(book.admit(queue, at: start) == .sendAlone(last: false))
        #expect(book.accepted(queue, alone: true, at: start) == false)
        #expect(book.admit(queue, at: start) == .sendAlone(last: false))
        #expect(book.accepted(queue, alone: true, at: start) == true)
        #expect(book.admit(queue, at: start) == .send)
        #expect(book.admit(other, at: start) == .sendAlone(last: false))
        book.convicted(other, at: start)
        #expect(book.admit(other, at: start) == .send, "a queue is not to blame for a message")
    }

    @Test("what is known of addresses has an end, and what is under way is not forgotten")
    func most() {
        var book = AddressBook(budget: 1)
        #expect(book.admit(queue, at: start) == .send)
        for number in 0..<3 * AddressBook.most {
            let stranger = PublishAddress(exchange: "", routingKey: "s\(number)")
            #expect(book.admit(stranger, at: start) == .send)
            _ = book.refused(stranger, at: start)
        }
        #expect(book.count <= AddressBook.most)
        #expect(isCongested(book.admit(queue, at: start)))
    }
}
