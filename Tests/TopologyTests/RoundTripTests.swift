import Adapters
import Answering
import ChatJobs
import Glibc
import ParleyRabbitMQ
import Pipeline
import TestSupport
import Testing

@testable import Topology

private struct StillClock: PipelineClock {
    let now = Duration.zero
    let wall = Timestamp(milliseconds: 0)
    func sleep(for duration: Duration) async {}
    func random() -> Double { 0.5 }
}

/// What a producer's message is after retries and as a dead letter, with a real broker in between.
@Suite(
    "Round trips", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(240)), .privateRabbitMQ()
)
struct RoundTripTests {
    /// Every type that the broker knows, with extreme values.
    static let fields: [(key: String, value: FieldValue)] = [
        ("t", true), ("f", false), ("b", .number(.int8, bits: UInt64(bitPattern: -5))),
        ("B", .number(.uint8, bits: 255)),
        ("s", .number(.int16, bits: UInt64(bitPattern: -5))), ("u", .number(.uint16, bits: 65535)), ("I", -5),
        ("I2", .int(Int64(Int32.min))), ("i", .number(.uint32, bits: UInt64(UInt32.max))),
        ("l", .number(.int64, bits: UInt64(bitPattern: -5))), ("l2", .int(.min)), ("l3", .int(.max)),
        ("float", .number(.float, bits: UInt64((-0.5 as Float).bitPattern))), ("d", -1.5e300),
        ("D", .decimal(scale: 2, value: 314)), ("S", "ключ"), ("S0", ""), ("S!", .rawString([0xFF, 0x9C])),
        ("x", .bytes([0, 1, 255])), ("T", .timestamp(1_795_384_830)), ("V", .null),
    ]

    private struct Ends {
        let fixture: LadderFixture
        let intake: RabbitMQIntake
        let outbox: RabbitMQOutbox

        init(_ base: String) async throws {
            fixture = try await LadderFixture(base)
            let relay = Relay(user: fixture.fixture.configuration.username, others: [])
            intake = RabbitMQIntake(consumer: fixture.consumer, clock: StillClock(), relay: relay)
            outbox = RabbitMQOutbox(
                publisher: fixture.publisher, queues: fixture.queues, clock: StillClock(), relay: relay,
                logger: fixture.fixture.logger)
        }

        func next() async throws -> Incoming { try #require(await intake.nextWindow(atMost: 1)?.first) }

        func publish(_ properties: MessageProperties) async throws {
            let job = OutgoingMessage(routingKey: fixture.base, properties: properties, body: Array("{}".utf8))
            #expect(try await fixture.publisher.publish(job) == .confirmed)
        }

        /// Puts the job aside once, and takes it again.
        func retry(_ incoming: Incoming) async throws -> Incoming {
            try await outbox.postpone(
                incoming, Postponement(delay: .milliseconds(125), attempts: 1, deferrals: 0, outages: 0))
            await intake.acknowledge(incoming.receipt)
            return try await next()
        }

        /// Takes so many jobs, and does this with each of them before it lets go of it.
        func each(
            of count: Int, _ work: @escaping @Sendable (Incoming, RabbitMQOutbox) async throws -> Void
        ) async throws {
            var taken = 0
            try await withThrowingTaskGroup(of: Void.self) { group in
                while taken < count {
                    let window = try #require(await intake.nextWindow(atMost: count - taken))
                    taken += window.count
                    for job in window {
                        group.addTask {
                            try await work(job, outbox)
                            await intake.acknowledge(job.receipt)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }

        func letters(_ count: Int) async throws -> [Delivery] {
            let channel = try await fixture.connection.openChannel()
            var letters: [Delivery] = []
            for _ in 0..<count {
                let letter = try await fixture.connection.get(fixture.queues.names.dead, noAck: true, channel: channel)
                letters.append(try #require(letter))
            }
            try await fixture.connection.closeChannel(channel)
            return letters
        }

        /// Makes a dead letter of the job.
        func letter(_ incoming: Incoming) async throws -> Delivery {
            try await outbox.deadLetter(incoming, JobFailure(.modelTimeout, "too slow"), attempts: 2, id: nil)
            await intake.acknowledge(incoming.receipt)
            let channel = try await fixture.connection.openChannel()
            let letter = try await fixture.connection.get(fixture.queues.names.dead, noAck: true, channel: channel)
            return try #require(letter)
        }
    }

    @Test("headers of every type, nested too, survive a retry and a dead letter unchanged")
    func headers() async throws {
        let ends = try await Ends("round.headers")
        var headers = FieldTable()
        var nested = FieldTable()
        for (key, value) in Self.fields {
            headers.append(key, value)
            nested.append(key, value)
        }
        headers.append("table", .table(["inner": .table(nested), "list": .array([.table(nested), .array([-5])])]))
        headers.append("array", .array(Self.fields.map(\.value)))
        try await ends.publish(MessageProperties(headers: headers, messageID: "a"))
        let back = try await ends.retry(try await ends.next())
        let letter = try await ends.letter(back)
        for (key, value) in headers.pairs { #expect(letter.properties.headers[key] == value, "\(key)") }
        await ends.fixture.close()
    }

    /// `PARLEY_FUZZ` says how many messages (2,000 unless given); a failure names its seed.
    @Test("properties and headers of any kind survive a retry and a dead letter unchanged", .timeLimit(.minutes(240)))
    func anything() async throws {
        let ends = try await Ends("round.any")
        let count = getenv("PARLEY_FUZZ").flatMap { UInt64(String(cString: $0)) } ?? 2000
        // Many at a time: each waits for its retry.
        for start in stride(from: 0, to: count, by: 200) {
            var sent: [String: MessageProperties] = [:]
            for seed in start..<min(start + 200, count) { sent["\(seed)"] = Self.properties(seed) }
            let messages = sent.values.map {
                OutgoingMessage(routingKey: ends.fixture.base, properties: $0, body: Array("{}".utf8))
            }
            for outcome in await ends.fixture.publisher.publish(messages) { #expect(try outcome.get() == .confirmed) }
            try await ends.each(of: messages.count) { job, outbox in
                try await outbox.postpone(
                    job, Postponement(delay: .milliseconds(125), attempts: 1, deferrals: 0, outages: 0))
            }
            try await ends.each(of: messages.count) { job, outbox in
                try await outbox.deadLetter(job, JobFailure(.modelTimeout, "too slow"), attempts: 2, id: nil)
            }
            for letter in try await ends.letters(messages.count) {
                let seed = letter.properties.messageID ?? "none"
                let known = sent.removeValue(forKey: seed)
                let properties = try #require(known, "seed \(seed)")
                for (key, value) in properties.headers.pairs {
                    #expect(letter.properties.headers[key] == value, "seed \(seed), \(key)")
                }
                var (before, after) = (properties, letter.properties)
                (before.headers, after.headers) = (FieldTable(), FieldTable())
                // How bytes that are no text are shown as text is nobody's business.
                if before.rawTexts[.correlationID] != nil { (before.correlationID, after.correlationID) = (nil, nil) }
                let isSame = before == after
                #expect(isSame, "seed \(seed)")
            }
        }
        await ends.fixture.close()
    }

    private static func properties(_ seed: UInt64) -> MessageProperties {
        var random = Seeded(seed: seed)
        var properties = MessageProperties(headers: table(&random, depth: 0), deliveryMode: 2, messageID: "\(seed)")
        properties.contentType = text(&random)
        properties.contentEncoding = text(&random)
        properties.correlationID = text(&random)
        properties.replyTo = text(&random)
        properties.type = text(&random)
        properties.appID = text(&random)
        if Bool.random(using: &random) { properties.priority = .random(in: 0...255, using: &random) }
        if Bool.random(using: &random) { properties.timestamp = .random(in: .min ... .max, using: &random) }
        if Int.random(in: 0...3, using: &random) == 0 {
            // No UTF-8, whatever follows; as text it is shown so.
            let bytes =
                [0xFF]
                + (0..<Int.random(in: 0...250, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            properties.correlationID = String(decoding: bytes, as: UTF8.self)
            properties.rawTexts[.correlationID] = bytes
        }
        return properties
    }

    /// At most 255 bytes of anything that is text.
    private static func text(_ random: inout Seeded) -> String? {
        guard Bool.random(using: &random) else { return nil }
        var text = ""
        for _ in 0..<Int.random(in: 0...60, using: &random) {
            let range: ClosedRange<UInt32> = Bool.random(using: &random) ? 0...0x7F : 0...0x10FFFF
            if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)) {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    private static func table(_ random: inout Seeded, depth: Int) -> FieldTable {
        var table = FieldTable()
        for number in 0..<Int.random(in: 0...6, using: &random) {
            let key = String(repeating: "k", count: .random(in: 0...40, using: &random)) + "\(number)"
            table.append(key, value(&random, depth: depth))
        }
        return table
    }

    private static func value(_ random: inout Seeded, depth: Int) -> FieldValue {
        switch Int.random(in: 0...5, using: &random) {
        case 0 where depth < 4: return .table(table(&random, depth: depth + 1))
        case 1 where depth < 4:
            return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in value(&random, depth: depth + 1) })
        case 2:
            let wide = Int64.random(in: .min ... .max, using: &random) >> Int64.random(in: 0...63, using: &random)
            return Int32(exactly: wide) == nil
                ? .int(wide)
                : Bool.random(using: &random) ? .int(wide) : .number(.int64, bits: UInt64(bitPattern: wide))
        case 3:
            let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) { return .bytes(bytes) }
            return String(validating: bytes, as: UTF8.self).map(FieldValue.string) ?? .rawString(bytes)
        default: return fields.randomElement(using: &random)?.value ?? .null
        }
    }

    @Test("properties that are no UTF-8 survive byte for byte, and the reply has the correlation id's bytes")
    func bytes() async throws {
        let ends = try await Ends("round.bytes")
        let bytes: [UInt8] = [0xFF, 0x9C, 0, 0x41]
        var properties = MessageProperties(correlationID: "?", messageID: "a", type: "?", appID: "?")
        properties.rawTexts = [.correlationID: bytes, .type: [0xC0], .appID: [0x80]]
        try await ends.publish(properties)
        let back = try await ends.retry(try await ends.next())
        #expect(back.envelope.correlationBytes == bytes)
        #expect(try await ends.letter(back).properties.rawTexts == properties.rawTexts)
        await ends.fixture.close()
    }

    @Test(
        "whom the broker has vouched for is known after a retry and in the dead letter, a header alone is not believed")
    func user() async throws {
        let ends = try await Ends("round.user")
        try await ends.publish(MessageProperties(headers: ["x-parley-user": "somebody"], messageID: "a"))
        let forged = try await ends.next()
        #expect(forged.envelope.userID == nil)
        let still = try await ends.retry(forged)
        #expect(still.envelope.userID == nil)
        #expect(try await ends.letter(still).properties.headers["x-parley-user"] == nil)

        let account = ends.fixture.fixture.configuration.username
        try await ends.publish(MessageProperties(messageID: "b", userID: account))
        let vouched = try await ends.next()
        #expect(vouched.envelope.userID == account)
        let back = try await ends.retry(vouched)
        #expect(back.envelope.userID == account)
        let letter = try await ends.letter(back)
        #expect(letter.properties.userID == account && letter.properties.headers["x-parley-user"]?.string == account)
        await ends.fixture.close()
    }

    @Test("a letter that was moved back is a requeue once, and its later attempts count")
    func movedBack() async throws {
        let ends = try await Ends("round.moved")
        try await ends.publish(MessageProperties(messageID: "a"))
        let letter = try await ends.letter(try await ends.next())
        try await ends.publish(letter.properties)
        let moved = try await ends.next()
        #expect(moved.envelope.requeues == 1 && moved.envelope.earlierAttempts == 0)
        let back = try await ends.retry(moved)
        #expect(back.envelope.requeues == 1 && back.envelope.earlierAttempts == 1)
        let again = try await ends.letter(back)
        #expect(again.properties.headers["x-parley-requeues"]?.int == 1)
        #expect(again.properties.headers["x-parley-error-code"]?.string == "model_timeout")
        await ends.fixture.close()
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): the same numbers for the same seed.
private struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
