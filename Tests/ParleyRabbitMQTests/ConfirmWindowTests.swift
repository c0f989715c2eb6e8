import TestSupport
import Testing

@testable import ParleyRabbitMQ

@Suite("Confirms")
struct ConfirmWindowTests {
    private let start = ContinuousClock.now

    private func message(_ queue: String, lasts: Duration = .seconds(1)) -> PendingPublish {
        PendingPublish(OutgoingMessage(to: queue), deadline: start + lasts) { _ in }
    }

    private func window(_ queues: String...) -> ConfirmWindow {
        var window = ConfirmWindow()
        for queue in queues { window.wrote(message(queue)) }
        return window
    }

    private func confirmed(
        _ window: inout ConfirmWindow, _ number: UInt64, multiple: Bool = false
    ) -> [String]? {
        var queues: [String] = []
        let isKnown = window.confirm(number, multiple: multiple) { queues.append($0.routingKey) }
        return isKnown ? queues : nil
    }

    @Test("confirms name messages by their place, in any order, one or all up to it")
    func order() {
        var window = window("a", "b", "c", "d")
        #expect(confirmed(&window, 3) == ["c"])
        #expect(confirmed(&window, 3) == [], "once")
        #expect(confirmed(&window, 3, multiple: true) == ["a", "b"])
        window.wrote(message("e"))
        #expect(confirmed(&window, 5) == ["e"])
        #expect(confirmed(&window, 0, multiple: true) == ["d"], "zero is all")
        #expect(window.isEmpty)
        #expect(confirmed(&window, 0, multiple: true) == [])
    }

    @Test("a confirm of what was not published settles nothing", arguments: [false, true])
    func unknown(multiple: Bool) {
        var window = window("a", "b")
        #expect(confirmed(&window, 3, multiple: multiple) == nil)
        #expect(confirmed(&window, .max, multiple: multiple) == nil)
        if !multiple { #expect(confirmed(&window, 0) == nil) }
        #expect(confirmed(&window, 2, multiple: true) == ["a", "b"])
    }

    @Test("a message that is given up holds up nobody, and its late confirm is nobody else's")
    func expiry() {
        var window = ConfirmWindow()
        window.wrote(message("slow"))
        window.wrote(message("patient", lasts: .seconds(5)))
        var late: [String] = []
        window.expire(at: start + .seconds(2)) { late.append($0.routingKey) }
        #expect(late == ["slow"])
        #expect(window.deadline == start + .seconds(5))
        #expect(confirmed(&window, 1) == [])
        #expect(confirmed(&window, 2) == ["patient"])
        #expect(window.isEmpty)
    }

    @Test("a return is the first message of its kind after the last one returned")
    func returns() {
        var window = window("gone", "there", "gone")
        let returned = Delivery(tag: DeliveryTag(epoch: 0, number: 0), routingKey: "gone", body: [1])
        let outcome = PublishOutcome.returned(code: 312, reason: "NO_ROUTE")
        window.returned(returned, bodySize: 1, outcome)
        window.returned(returned, bodySize: 1, outcome)
        window.returned(returned, bodySize: 1, outcome)
        var outcomes: [PublishOutcome?] = []
        let isKnown = window.confirm(3, multiple: true) { outcomes.append($0.returned) }
        #expect(isKnown)
        #expect(outcomes == [outcome, nil, outcome])
    }
}
