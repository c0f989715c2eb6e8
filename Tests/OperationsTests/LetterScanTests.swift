import Glibc
import IOLoop
import Logging
import ParleyRabbitMQ
import Testing

@testable import Operations

private let broker = getenv("PARLEY_TEST_RABBITMQ_URL").map { String(cString: $0) }

/// Against a real broker.
@Suite(.enabled(if: broker != nil, "PARLEY_TEST_RABBITMQ_URL is not set"))
struct LetterScanTests {
    @Test(arguments: [1, 7, 64, 2048])
    func everyMessageIsMetOnceInOrderAndIsWhereItWas(_ window: Int) async throws {
        try await withQueue(messages: window == 1 ? 100 : 3000) { bench in
            let count = bench.count
            for _ in 0..<2 {
                let scan = try await LetterScan(
                    bench.connection, queue: bench.queue, loop: bench.loop, largestWindow: window)
                var met: [Int] = []
                while let batch = try await scan.next(atMost: 100) {
                    met += bench.numbers(batch)
                    await scan.keep(batch)
                }
                await scan.finish()
                #expect(met == Array(0..<count))
                let ready = try await bench.ready()
                #expect(ready == count)
            }
        }
    }

    /// A quorum queue lines up what it gets back in an order of its own.
    @Test(arguments: [false, true])
    func whatIsAcknowledgedIsGoneAndTheRestIsInOrder(_ isQuorum: Bool) async throws {
        try await withQueue(messages: 9000, isQuorum: isQuorum) { bench in
            let scan = try await LetterScan(
                bench.connection, queue: bench.queue, loop: bench.loop, largestWindow: 500)
            while let batch = try await scan.next(atMost: 256) {
                await scan.acknowledge(batch.filter { bench.numbers([$0])[0] % 3 == 0 })
                await scan.keep(batch.filter { bench.numbers([$0])[0] % 3 != 0 })
            }
            #expect(await scan.scanned == 9000)
            await scan.finish()
            let rest = try await bench.drain()
            #expect((isQuorum ? rest.sorted() : rest) == (0..<9000).filter { $0 % 3 != 0 })
        }
    }

    @Test func aScanKnowsWhetherItIsAlone() async throws {
        try await withQueue(messages: 100) { bench in
            let first = try await LetterScan(bench.connection, queue: bench.queue, loop: bench.loop)
            let batch = try #require(try await first.next(atMost: 10))
            let second = try await LetterScan(bench.connection, queue: bench.queue, loop: bench.loop)
            #expect(await second.hadCompany)
            await second.finish()
            await first.keep(batch)
            await first.finish()
            #expect(await first.hadCompany == false)
            let third = try await LetterScan(bench.connection, queue: bench.queue, loop: bench.loop)
            #expect(await third.hadCompany == false)
            await third.finish()
        }
    }

    @Test(arguments: [false, true])
    func whatWasNotReadGoesBackInOrderToo(_ isQuorum: Bool) async throws {
        try await withQueue(messages: 3000, isQuorum: isQuorum) { bench in
            let scan = try await LetterScan(
                bench.connection, queue: bench.queue, loop: bench.loop, largestWindow: 500)
            var met = 0
            while met < 1111, let batch = try await scan.next(atMost: 101) {
                met += batch.count
                await scan.keep(batch)
            }
            await scan.finish()
            let rest = try await bench.drain()
            #expect((isQuorum ? rest.sorted() : rest) == Array(0..<3000))
        }
    }

    @Test func whatArrivesLaterIsNotMet() async throws {
        try await withQueue(messages: 50) { bench in
            let scan = try await LetterScan(bench.connection, queue: bench.queue, loop: bench.loop)
            var met = 0
            while let batch = try await scan.next(atMost: 10) {
                try await bench.publish(1000..<1000 + batch.count)
                met += batch.count
                await scan.acknowledge(batch)
            }
            await scan.finish()
            #expect(met == 50)
            #expect(try await bench.ready() == 50)
        }
    }

    @Test func theScanEndsWhenOthersHaveTakenTheRest() async throws {
        try await withQueue(messages: 200) { bench in
            let scan = try await LetterScan(
                bench.connection, queue: bench.queue, loop: bench.loop, largestWindow: 10)
            let first = try #require(try await scan.next(atMost: 5))
            await scan.keep(first)
            _ = try await bench.connection.purge(bench.queue)
            var met = first.count
            while let batch = try await scan.next(atMost: 5) {
                met += batch.count
                await scan.keep(batch)
            }
            #expect(met <= 10)
            await scan.finish()
            #expect(try await bench.ready() == met)
        }
    }

    @Test func aLongScanGivesBackWhatItHoldsAndMissesNothing() async throws {
        try await withQueue(messages: 600) { bench in
            let scan = try await LetterScan(
                bench.connection, queue: bench.queue, loop: bench.loop, largestWindow: 100, round: .milliseconds(300))
            var done: Set<Int> = []
            var rounds = 0
            let deadline = ContinuousClock.now + .seconds(30)
            while let batch = try await scan.next(atMost: 50), ContinuousClock.now < deadline {
                if bench.numbers(batch).contains(1) { rounds += 1 }
                let odd = batch.filter { bench.numbers([$0])[0] % 2 == 1 }
                // The first of all is held until its round is over.
                await scan.acknowledge(rounds > 2 ? odd : odd.filter { bench.numbers([$0])[0] != 1 })
                done.formUnion(bench.numbers(odd))
                await scan.keep(batch.filter { bench.numbers([$0])[0] % 2 == 0 })
                if rounds <= 2 { await scan.keep(odd.filter { bench.numbers([$0])[0] == 1 }) }
                try await Task.sleep(for: .milliseconds(40))
            }
            await scan.finish()
            #expect(rounds > 2)
            #expect(done == Set((0..<600).filter { $0 % 2 == 1 }))
            #expect(try await bench.drain() == (0..<600).filter { $0 % 2 == 0 })
        }
    }

    @Test func anInterruptedScanEnds() async throws {
        try await withQueue(messages: 10) { bench in
            let scan = try await LetterScan(
                bench.connection, queue: bench.queue, loop: bench.loop, isInterrupted: { true })
            #expect(try await scan.next(atMost: 5) == nil)
            await scan.finish()
            #expect(try await bench.ready() == 10)
        }
    }

    @Test func aQueueThatVanishesIsAnError() async throws {
        try await withQueue(messages: 30) { bench in
            let scan = try await LetterScan(bench.connection, queue: bench.queue, loop: bench.loop, largestWindow: 10)
            let batch = try #require(try await scan.next(atMost: 10))
            await scan.keep(batch)
            _ = try await bench.connection.deleteQueue(bench.queue)
            await #expect(throws: RabbitMQError.self) {
                while let batch = try await scan.next(atMost: 10) { await scan.keep(batch) }
            }
        }
    }
}

/// A queue with numbered messages.
private struct Bench: Sendable {
    let loop: IOLoop
    let connection: RabbitMQConnection
    let channel: UInt16
    let queue: String
    let count: Int

    func numbers(_ batch: [Delivery]) -> [Int] { batch.map { Int(String(decoding: $0.body, as: UTF8.self)) ?? -1 } }

    func ready() async throws -> Int {
        Int(try await connection.declare(QueueDeclaration(name: queue), passive: true).messages)
    }

    func publish(_ numbers: Range<Int>) async throws {
        try await withThrowingTaskGroup(of: PublishOutcome.self) { group in
            for number in numbers {
                let message = OutgoingMessage(routingKey: queue, body: Array("\(number)".utf8))
                group.addTask(executorPreference: loop) { try await connection.publish(message, channel: channel) }
            }
            for try await outcome in group { #expect(outcome == .confirmed) }
        }
    }

    func drain() async throws -> [Int] {
        var met: [Int] = []
        while let delivery = try await connection.get(queue, noAck: true, channel: channel) {
            met += numbers([delivery])
        }
        return met
    }
}

private func withQueue(
    messages: Int, isQuorum: Bool = false, _ body: (Bench) async throws -> Void
) async throws {
    let url = try #require(broker)
    var logger = Logger(label: "operations")
    logger.logLevel = .critical
    let loop = try IOLoop(name: "operations")
    defer { loop.stop() }
    let connection = try await RabbitMQConnection.open(try RabbitMQConfiguration(url: url), loop: loop, logger: logger)
    let channel = try await connection.openChannel()
    try await connection.confirmSelect(channel: channel)
    let queue = "operations.\(UInt64.random(in: 1 << 60...UInt64.max))"
    _ = try await connection.declare(
        QueueDeclaration(
            name: queue, durable: isQuorum, arguments: isQuorum ? ["x-queue-type": "quorum"] : FieldTable()))
    let bench = Bench(loop: loop, connection: connection, channel: channel, queue: queue, count: messages)
    let result: Result<Void, any Error>
    do {
        try await bench.publish(0..<messages)
        result = .success(try await body(bench))
    } catch {
        result = .failure(error)
    }
    _ = try? await connection.deleteQueue(queue)
    await connection.close()
    try result.get()
}
