import ParleyDigest
import TestSupport
import Testing

@testable import ParleyRabbitMQ

/// Bodies above a consumer's limit, from a broker that does as it is told.
@Suite("Oversized bodies", .timeLimit(.minutes(2)))
struct OversizeTests {
    private func consumer(_ f: PeerFixture, maxBody: Int) -> RabbitMQConsumer {
        RabbitMQConsumer(
            configuration: f.configuration, loop: f.loop, queues: ["q"], maxBody: maxBody, logger: f.logger)
    }

    @Test("a body above the limit is not kept, but its size and digest are, and its neighbours are whole")
    func discarded() async throws {
        let large = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { _ in
                .honest
            } afterwards: { event in
                guard event.is(.basicConsume) else { return }
                try peer.deliver(Array("before".utf8), tag: 1)
                try peer.deliver(
                    large, tag: 2, properties: PeerMessage.properties(headers: [PeerBytes.field("h", "V")]))
                try peer.deliver([UInt8](repeating: 1, count: 1000), tag: 3)
                try peer.deliver([UInt8](repeating: 1, count: 1001), tag: 4)
                try peer.deliver([], tag: 5)
            }
        }
        let consumer = consumer(f, maxBody: 1000)
        await consumer.start()
        var got: [Delivery] = []
        while got.count < 5 { got += try #require(await consumer.next(atMost: 10)) }
        #expect(got.map(\.body.count) == [6, 0, 1000, 0, 0])
        #expect(got.map(\.discarded?.bytes) == [nil, 1_000_000, nil, 1001, nil])
        #expect(got[1].discarded?.sha256 == SHA256.hex(of: large))
        #expect(got[1].properties.headers["h"] == .null)
        #expect(got[3].discarded?.sha256 == SHA256.hex(of: [UInt8](repeating: 1, count: 1001)))
        await f.close(consumer)
    }

    @Test(
        "a body that is longer than announced, or comes unannounced, ends the connection",
        arguments: ["longer", "unannounced", "twice"])
    func lies(_ kind: String) async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { _ in
                .honest
            } afterwards: { event in
                guard event.is(.basicConsume) else { return }
                if kind == "unannounced" { return try peer.send(.body(channel: 1, [1])) }
                try peer.send(
                    PeerConnection.deliver(channel: 1, consumer: peer.consumers[1]?.first ?? "", tag: 1),
                    .header(channel: 1, bodySize: 2),
                    kind == "twice" ? .header(channel: 1, bodySize: 2) : .body(channel: 1, [1, 2, 3]))
            }
        }
        let events = Log<ConnectionEvent>()
        let consumer = RabbitMQConsumer(
            configuration: f.configuration, loop: f.loop, queues: ["q"], onEvent: { events.append($0) },
            logger: f.logger)
        await consumer.start()
        try await waitUntil("the connection has ended") { !events.disconnections.isEmpty }
        #expect(events.disconnections.first?.code == .protocolViolation)
        #expect(await consumer.buffered == 0)
        await f.close(consumer)
    }
}
