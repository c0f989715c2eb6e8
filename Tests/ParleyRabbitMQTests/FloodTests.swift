import IOLoop
import TestSupport
import Testing

@testable import ParleyRabbitMQ

@Suite("Floods", .timeLimit(.minutes(2)))
struct FloodTests {
    /// What arrives in each turn of a loop. Used on the loop alone.
    private final class Meter: @unchecked Sendable {
        // Proof of @unchecked Sendable: touched in the loop's hooks and in a handler that is called on it.
        private var thisTurn = 0
        private var isStopped = false
        let largest = Log<Int>()

        func take(_ bytes: Int) { thisTurn += bytes }
        func stop() { isStopped = true }

        func watch(_ loop: IOLoop) {
            largest.append(thisTurn)
            thisTurn = 0
            if !isStopped { loop.atTurnEnd { self.watch(loop) } }
        }
    }

    @Test("a flood of large messages leaves the others on the loop their turn")
    func bytesPerTurn() async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { _ in
                .honest
            } afterwards: { event in
                guard event.is(.basicConsume) else { return }
                let body = [UInt8](repeating: 1, count: 131_064)
                for tag in 1...512 { try peer.deliver(body, tag: UInt64(tag)) }
            }
        }
        let connection = try await f.connect()
        let channel = try await connection.openChannel()
        let meter = Meter()
        let got = Log<Int>()
        await connection.watch(meter.watch)
        try await connection.consume("q", channel: channel) { event in
            guard case .delivery(let delivery) = event else { return }
            meter.take(delivery.body.count)
            got.append(delivery.body.count)
        }
        try await waitUntil("all is there", within: .seconds(60)) { got.count == 512 }
        await connection.watch { _ in meter.stop() }
        #expect(meter.largest.all.max() ?? 0 <= Session.bytesPerTurn + 131_064)
        await f.close(connection)
    }
}

extension RabbitMQConnection {
    /// Calls `body` on the loop.
    fileprivate func watch(_ body: @Sendable (IOLoop) -> Void) { body(session.loop) }
}
