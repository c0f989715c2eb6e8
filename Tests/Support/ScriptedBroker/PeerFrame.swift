/// A frame on the wire, whatever is in it.
package struct PeerFrame: Sendable, Equatable {
    package static let method: UInt8 = 1, header: UInt8 = 2, body: UInt8 = 3, heartbeat: UInt8 = 8

    package var type: UInt8
    package var channel: UInt16
    package var payload: [UInt8]

    package init(_ type: UInt8, channel: UInt16, _ payload: [UInt8]) {
        self.type = type
        self.channel = channel
        self.payload = payload
    }

    package var bytes: [UInt8] {
        var all = PeerBytes()
        all.put(type)
        all.put(channel)
        all.put(long: payload)
        all.put(0xCE as UInt8)
        return all.bytes
    }

    package static func method(_ id: PeerMethod, channel: UInt16, _ arguments: (inout PeerBytes) -> Void = { _ in })
        -> PeerFrame
    {
        var payload = PeerBytes()
        payload.put(id.rawValue)
        arguments(&payload)
        return PeerFrame(method, channel: channel, payload.bytes)
    }

    /// A content header; `properties` are the flags and what they announce.
    package static func header(
        channel: UInt16, classID: UInt16 = 60, bodySize: UInt64, properties: [UInt8] = [0, 0]
    ) -> PeerFrame {
        var payload = PeerBytes()
        payload.put(classID)
        payload.put(0 as UInt16)
        payload.put(bodySize)
        payload.put(raw: properties)
        return PeerFrame(header, channel: channel, payload.bytes)
    }

    package static func body(channel: UInt16, _ bytes: [UInt8]) -> PeerFrame {
        PeerFrame(body, channel: channel, bytes)
    }
}

/// Class and number of the methods that scripts deal with (AMQP 0-9-1, and RabbitMQ's extensions).
package enum PeerMethod: UInt32, Sendable {
    case connectionStart = 0x000A_000A
    case connectionStartOK = 0x000A_000B
    case connectionTune = 0x000A_001E
    case connectionTuneOK = 0x000A_001F
    case connectionOpen = 0x000A_0028
    case connectionOpenOK = 0x000A_0029
    case connectionClose = 0x000A_0032
    case connectionCloseOK = 0x000A_0033
    case connectionBlocked = 0x000A_003C
    case connectionUnblocked = 0x000A_003D
    case channelOpen = 0x0014_000A
    case channelOpenOK = 0x0014_000B
    case channelFlow = 0x0014_0014
    case channelFlowOK = 0x0014_0015
    case channelClose = 0x0014_0028
    case channelCloseOK = 0x0014_0029
    case queueDeclare = 0x0032_000A
    case queueDeclareOK = 0x0032_000B
    case basicQos = 0x003C_000A
    case basicQosOK = 0x003C_000B
    case basicConsume = 0x003C_0014
    case basicConsumeOK = 0x003C_0015
    case basicCancel = 0x003C_001E
    case basicCancelOK = 0x003C_001F
    case basicPublish = 0x003C_0028
    case basicReturn = 0x003C_0032
    case basicDeliver = 0x003C_003C
    case basicGet = 0x003C_0046
    case basicGetOK = 0x003C_0047
    case basicGetEmpty = 0x003C_0048
    case basicAck = 0x003C_0050
    case basicReject = 0x003C_005A
    case basicNack = 0x003C_0078
    case confirmSelect = 0x0055_000A
    case confirmSelectOK = 0x0055_000B
}

/// A message that the client has published.
package struct PeerMessage: Sendable {
    package var channel: UInt16
    /// Its place on the channel, from 1: what a confirm names.
    package var sequence: UInt64
    package var exchange: String
    package var routingKey: String
    package var mandatory: Bool
    /// The flags and what they announce.
    package var properties: [UInt8]
    package var body: [UInt8]

    /// The field table of its headers, with the length before it; nil when there is none.
    package func headers() throws -> [UInt8]? {
        var reader = PeerReader(properties)
        let flags = try reader.integer(UInt16.self)
        if flags & 1 << 15 != 0 { _ = try reader.short() }
        if flags & 1 << 14 != 0 { _ = try reader.short() }
        return flags & 1 << 13 != 0 ? PeerBytes.sized(try reader.long()) : nil
    }

    /// Properties that hold nothing but headers: `fields` are entries of ``PeerBytes/field(_:_:_:)``.
    package static func properties(headers fields: [[UInt8]]) -> [UInt8] {
        PeerBytes.of(1 << 13 as UInt16) + PeerBytes.sized(fields.flatMap { $0 })
    }
}
