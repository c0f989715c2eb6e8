import ChatJobs

/// Messages that a seed determines: good ones with something done to them.
struct Mutator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678 }

    /// Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014 (SplitMix64).
    private mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    private mutating func below(_ bound: Int) -> Int { bound > 0 ? Int(next() % UInt64(bound)) : 0 }
    private mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    mutating func message() -> ([UInt8], Envelope) {
        var body = below(50) == 0 ? randomBytes(below(200)) : Array(pick(Self.bodies).utf8)
        for _ in 0..<below(4) { mutate(&body) }
        return (body, envelope())
    }

    private mutating func mutate(_ body: inout [UInt8]) {
        guard !body.isEmpty else {
            body = randomBytes(8)
            return
        }
        let at = below(body.count)
        switch below(9) {
        case 0: body[at] ^= 1 << UInt8(below(8))
        case 1: body[at] = UInt8(below(256))
        case 2: body.removeLast(body.count - at)
        case 3: body.insert(contentsOf: randomBytes(1 + below(6)), at: at)
        case 4:
            let other = Array(pick(Self.bodies).utf8)
            let from = below(other.count)
            body.replaceSubrange(at..., with: other[from...])
        case 5:
            body.insert(
                contentsOf: Array(pick(Self.members).utf8),
                at: body.firstIndex(of: UInt8(ascii: "{")).map { $0 + 1 } ?? at)
        case 6: body.insert(contentsOf: Array(pick(Self.tokens).utf8), at: at)
        case 7: body.insert(contentsOf: Array(repeating: body[at], count: below(300)), at: at)
        default:
            let end = min(body.count, at + 1 + below(12))
            body.removeSubrange(at..<end)
        }
    }

    private mutating func randomBytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    private mutating func envelope() -> Envelope {
        var envelope = Envelope()
        if below(4) != 0 { envelope.messageID = pick(Self.ids) }
        envelope.contentType = below(3) == 0 ? pick(Self.types) : nil
        envelope.contentEncoding = below(6) == 0 ? pick(Self.encodings) : nil
        envelope.replyTo = below(3) == 0 ? pick(Self.queues) : nil
        if below(60) == 0 { envelope.contentType = String(decoding: randomBytes(below(40)), as: UTF8.self) }
        if below(60) == 0 { envelope.messageID = String(decoding: randomBytes(below(200)), as: UTF8.self) }
        if below(60) == 0 { envelope.replyTo = "chat.jobs.delay" + String(decoding: randomBytes(9), as: UTF8.self) }
        if below(60) == 0 { envelope.contentEncoding = String(decoding: randomBytes(below(20)), as: UTF8.self) }
        return envelope
    }

    private static let ids = ["j1", "j1", "j1", "j1", "j2", "", "a b", String(repeating: "x", count: 129)]
    private static let types = ["application/json", "application/json; charset=utf-8", "text/plain", "", ";", "\u{9B}"]
    private static let encodings = ["utf-8", "gzip", "GZIP", "identity", "br", "\u{7}"]
    private static let queues = [
        "replies", "amq.rabbitmq.reply-to", "chat.jobs", "chat.jobs.dead", "chat.jobs.delay.9\n",
    ]
    private static let tokens = [
        "\"", "\\", "\\u", "\\ud800", "\\udc00\\ud800", "\\u0000", "{", "}", "[", "]", ",", ":", "null", "true", "-",
        "1e",
        "1e999", "-0", "0.0000000000000000000000000001", "99999999999999999999999999", "\u{0}", "\u{FEFF}", "中",
        "\u{1F600}",
        "\u{9B}", "\u{85}", String(repeating: "[", count: 70), String(repeating: "9", count: 400),
    ]
    private static let members = [
        #""id":"j1","#, #""id":"j2","#, #""query":"again","#, #""query":null,"#,
        #""options":{"seed":9223372036854775807},"#,
        #""options":{"temperature":1e400,"top_k":-1},"#, #""options":{"top_k":64.0,"max_tokens":1e6},"#,
        #""stream":0,"#,
        #""deadline":"9999-12-31T23:59:60-23:59","#, #""deadline":"1970-01-01T00:00:00+23:59","#, #""deadline":"","#,
        #""history":[{"role":"user","content":"x","role":"system"}],"#, #""metadata":{"a":{"a":{"a":[]}}},"#,
        #""\u0069\u0064":"j1","#, #""tenant":"\ud83d\ude00\ud83d","#,
    ]
    private static let bodies = [
        #"{"query":"q"}"#, #"{"id":"j1","query":"How do I return a damaged parcel?"}"#,
        #"{"id":"j1","query":"如何退货？","user_id":"u-17","tenant":"shop-eu","agent":"aftersale","stream":true}"#,
        #"{"id":"j1","query":"q","history":[{"role":"user","content":"a"},{"role":"assistant","content":"b\n\u00e9"}]}"#,
        #"{"id":"j1","query":"q","not_before":"2026-11-22T22:00:00Z","deadline":"2026-11-22T22:00:30.5+02:00"}"#,
        #"{"id":"j1","query":"q","options":{"model":"m","temperature":0.3,"max_tokens":200,"seed":42,"top_k":4,"retrieve":"auto","cache":"use"}}"#,
        #"{"id":"j1","query":"q","metadata":{"any":["thing",1.5e3,null,true,{"deep":{}}]},"unknown":[[],{}]}"#,
    ]
}
