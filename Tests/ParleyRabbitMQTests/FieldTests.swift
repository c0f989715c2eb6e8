import TestSupport
import Testing

@testable import ParleyRabbitMQ

/// Field tables as other clients write them, byte by byte.
@Suite("Fields", .timeLimit(.minutes(2)))
struct FieldTests {
    private typealias B = PeerBytes

    /// Every type letter with an extreme value, and what it is here.
    private static let fields: [(bytes: [UInt8], value: FieldValue)] = [
        (B.field("t", "t", [1]), true), (B.field("f", "t", [0]), false),
        (B.field("b", "b", B.of(Int8.min)), .number(.int8, bits: UInt64(bitPattern: -128))),
        (B.field("B", "B", [255]), .number(.uint8, bits: 255)),
        (B.field("s", "s", B.of(Int16.min)), .number(.int16, bits: UInt64(bitPattern: -32768))),
        (B.field("u", "u", B.of(UInt16.max)), .number(.uint16, bits: 65535)),
        (B.field("I", "I", B.of(Int32.min)), .int(Int64(Int32.min))),
        (B.field("i", "i", B.of(UInt32.max)), .number(.uint32, bits: UInt64(UInt32.max))),
        (B.field("l", "l", B.of(-5 as Int64)), .number(.int64, bits: UInt64(bitPattern: -5))),
        (B.field("l2", "l", B.of(Int64.min)), .int(.min)),
        (B.field("L", "L", B.of(-5 as Int64)), -5), (B.field("L2", "L", B.of(Int64.max)), .int(.max)),
        (
            B.field("f", "f", B.of((-0.5 as Float).bitPattern)),
            .number(.float, bits: UInt64((-0.5 as Float).bitPattern))
        ),
        (B.field("d", "d", B.of((1e300 as Double).bitPattern)), 1e300),
        (B.field("D", "D", [2] + B.of(314 as UInt32)), .decimal(scale: 2, value: 314)),
        (B.field("S", "S", B.sized(Array("ключ".utf8))), "ключ"), (B.field("S0", "S", B.sized([])), ""),
        (B.field("S!", "S", B.sized([0xFF])), .rawString([0xFF])),
        (B.field("x", "x", B.sized([0, 1])), .bytes([0, 1])),
        (B.field("T", "T", B.of(UInt64.max)), .timestamp(.max)), (B.field("V", "V"), .null),
        (B.field("A0", "A", B.sized([])), .array([])), (B.field("F0", "F", B.sized([])), .table([:])),
    ]

    /// Publishes what it gets, once more.
    private func echo(_ f: PeerFixture) async throws -> FieldTable {
        let connection = try await f.connect()
        let channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        let got = Log<Delivery>()
        try await connection.consume("q", channel: channel) { event in
            if case .delivery(let delivery) = event { got.append(delivery) }
        }
        try await waitUntil("it is there") { got.count == 1 }
        let headers = try #require(got.all.first).properties.headers
        let properties = MessageProperties(headers: headers)
        let outcome = try await connection.publish(
            OutgoingMessage(routingKey: "q", properties: properties, body: [1]), channel: channel)
        #expect(outcome == .confirmed)
        try await waitUntil("it has come back") { got.count == 2 }
        #expect(got.all[1].properties.headers == headers, "written and read again it is the same")
        await f.close(connection)
        return headers
    }

    /// Delivers a message with these headers, then whatever is published.
    private func fixture(_ headers: [[UInt8]]) throws -> PeerFixture {
        try PeerFixture { peer in
            try peer.greet()
            try peer.serve { event in
                guard case .message(let message) = event else { return .honest }
                try peer.ack(message)
                try peer.deliver(message.body, tag: 2, properties: message.properties)
                return .handled
            } afterwards: { event in
                guard event.is(.basicConsume) else { return }
                try peer.deliver([1], tag: 1, properties: PeerMessage.properties(headers: headers))
            }
        }
    }

    @Test("every type of field keeps its value, on its own and nested")
    func everyType() async throws {
        let flat = Self.fields.map(\.bytes)
        let table = B.sized(flat.flatMap { $0 })
        // An element of an array is a field without its key.
        let array = B.sized(flat.flatMap { $0.dropFirst(1 + Int($0[0])) })
        let f = try fixture(flat + [B.field("table", "F", table), B.field("array", "A", array)])
        let headers = try await echo(f)
        #expect(headers.pairs.dropLast(2).map(\.value) == Self.fields.map(\.value))
        #expect(headers["table"]?.table?.pairs.map(\.value) == Self.fields.map(\.value))
        #expect(headers["array"]?.array == Self.fields.map(\.value))
    }

    @Test(
        "tables and arrays are read sixty levels deep, and left as bytes where they are deeper",
        arguments: [60, 20_000])
    func deep(levels: Int) async throws {
        for kind in ["A", "F"] as [Character] {
            // From the outside in: what is left is known.
            let perLevel = kind == "A" ? 5 : 6
            guard levels * perLevel < 190_000 else { continue }
            var bytes = PeerBytes()
            var rest = levels * perLevel + (kind == "A" ? 1 : 2)
            bytes.put(UInt32(0))
            for _ in 0..<levels {
                if kind == "F" { bytes.put(short: "") }
                bytes.put(kind.asciiValue ?? 0)
                rest -= perLevel
                bytes.put(UInt32(rest))
            }
            if kind == "F" { bytes.put(short: "") }
            bytes.put(raw: "V".utf8)
            let content = Array(bytes.bytes.dropFirst(4))
            let headers = try await echo(try fixture([B.field("deep", kind, B.sized(content)), B.field("after", "V")]))
            #expect(headers["after"] == .null)
            var depth = 0
            var value = headers["deep"]
            while let inner = value, let next = inner.array?.first ?? inner.table?.pairs.first?.value {
                depth += 1
                value = next
            }
            #expect(levels <= 60 ? depth == levels + 1 : (60...66).contains(depth), "\(kind): \(depth)")
        }
    }
}
