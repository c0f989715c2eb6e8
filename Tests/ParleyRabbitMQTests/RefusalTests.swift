import Testing

@testable import ParleyRabbitMQ

@Suite("Refusals", .serialized, .enabled(if: PrivateBroker.isInstalled), .timeLimit(.minutes(2)), .privateBroker)
struct RefusalTests {
    @Test(
        "a publisher whose messages are refused for seconds tries another channel, and stays with one that takes some")
    func anotherChannel() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let publisher = RabbitMQPublisher(
            configuration: f.configuration, loop: f.loop, onEvent: { events.append($0) }, logger: f.logger)
        await publisher.start()
        func connections() -> Int { events.all.count { if case .connected = $0 { true } else { false } } }
        for name in ["full", "roomy"] {
            let arguments: FieldTable =
                name == "full" ? ["x-max-length": 1, "x-overflow": "reject-publish"] : FieldTable()
            try await publisher.ensureQueue(QueueDeclaration(name: name, arguments: arguments))
        }
        #expect(try await publisher.publish(OutgoingMessage(to: "full")) == .confirmed)
        let started = ContinuousClock.now
        try await waitUntil("there is another channel") {
            // What another queue takes makes no difference.
            _ = try? await publisher.publish(OutgoingMessage(to: "roomy"))
            _ = try? await publisher.publish(OutgoingMessage(to: "full"))
            return connections() == 2
        }
        #expect(ContinuousClock.now - started >= .seconds(2))
        let reasons = events.all.compactMap { if case .disconnected(let error, _) = $0 { error } else { nil } }
        #expect(reasons.map(\.code) == [.nacked])
        #expect(reasons.first?.message.contains("'full'") == true)
        let taken = try await publisher.publish(OutgoingMessage(to: "roomy"))
        #expect(taken == .confirmed)
        await publisher.close()
    }

    @Test("a message that the broker fails on is found among the others, which are sent")
    func poison() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let publisher = RabbitMQPublisher(
            configuration: f.configuration, loop: f.loop, onEvent: { events.append($0) }, logger: f.logger)
        await publisher.start()
        try await publisher.ensureQueue(QueueDeclaration(name: "healthy"))
        // RabbitMQ 3.10 takes the address for an Erlang term, and fails to decode it.
        let address = "amq.rabbitmq.reply-to.AAAA.BBBB"
        func insist(_ message: OutgoingMessage) async -> Result<PublishOutcome, RabbitMQError> {
            while true {
                do throws(RabbitMQError) {
                    return .success(try await publisher.publish(message))
                } catch {
                    guard error.code == .connectionLost || error.code == .channelClosed else { return .failure(error) }
                }
            }
        }
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<50 {
                group.addTask {
                    let outcome = await insist(OutgoingMessage(to: "healthy", "\(number)"))
                    #expect(outcome == .success(.confirmed))
                }
            }
            for _ in 0..<2 {
                group.addTask {
                    guard case .failure(let error) = await insist(OutgoingMessage(to: address)) else {
                        Issue.record("the broker took the message")
                        return
                    }
                    #expect(error.code == .unacceptable && error.message.contains(address))
                }
            }
        }
        let ends = events.all.count { if case .disconnected = $0 { true } else { false } }
        #expect((2...6).contains(ends), "\(ends) connections")
        #expect(try await publisher.publish(OutgoingMessage(to: "healthy")) == .confirmed)
        await publisher.close()
    }

    @Test("the wait doubles with each channel that does not help, and begins anew with the first message taken")
    func patience() {
        var refusals = Refusals()
        var now = ContinuousClock.now
        func waited(for queue: String) -> Int {
            var steps = 0
            while refusals.refused(exchange: "", routingKey: queue, at: now) == nil {
                now += .milliseconds(500)
                steps += 1
            }
            return steps
        }
        #expect(waited(for: "a") == 4)
        refusals.startOver()
        #expect(waited(for: "a") == 8)
        refusals.startOver()
        #expect(waited(for: "a") == 16)
        #expect(waited(for: "b") == 4, "each address has its own")
        refusals.accepted(exchange: "", routingKey: "b")
        #expect(waited(for: "a") == 32)
        refusals.accepted(exchange: "", routingKey: "a")
        #expect(waited(for: "a") == 4)
        for _ in 0..<10 { _ = waited(for: "a") }
        #expect(waited(for: "a") == 128, "at most 64 seconds")
    }
}
