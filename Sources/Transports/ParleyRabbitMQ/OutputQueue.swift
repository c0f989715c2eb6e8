import DequeModule

/// What a session is to write next, apart from what its channels have of their own: methods in their order, and the rest of
/// the body that is half written.
struct OutputQueue {
    struct Item: Equatable {
        let method: OutboundMethod
        let channel: UInt16
        /// What names the request in the ``ConnectionMachine``; nil when nobody waits for an answer.
        var request: UInt64?
    }

    /// A piece of a body.
    struct Fragment: Equatable {
        let channel: UInt16
        let body: [UInt8]
        let range: Range<Int>
    }

    private var items = Deque<Item>()
    /// Between the frames of a message nothing else may be written on its channel, and nothing else is on any.
    private var content: (channel: UInt16, body: [UInt8], offset: Int)?

    var isInContent: Bool { content != nil }

    mutating func append(_ item: Item) { items.append(item) }

    /// The next method. What it is written for may be gone by now: ``ConnectionMachine/mayWrite(_:on:)``.
    mutating func next() -> Item? { isInContent ? nil : items.popFirst() }

    /// There was no room for it.
    mutating func putBack(_ item: Item) { items.prepend(item) }

    /// A message's header is written.
    mutating func begin(_ body: [UInt8], on channel: UInt16) {
        if !body.isEmpty { content = (channel, body, 0) }
    }

    /// The next piece of the body, at most so large; it counts as written.
    mutating func nextFragment(atMost limit: Int) -> Fragment? {
        guard let (channel, body, offset) = content else { return nil }
        let end = min(body.count, offset + limit)
        content = end == body.count ? nil : (channel, body, end)
        return Fragment(channel: channel, body: body, range: offset..<end)
    }

    /// The broker has ended the channel: the rest of its message is not wanted.
    mutating func drop(_ channel: UInt16) { if content?.channel == channel { content = nil } }

    mutating func drop() {
        items = []
        content = nil
    }
}

/// How much may be written before the kernel is asked again whether there is room.
struct Allowance {
    /// Goes on until it is used up; what was begun with may be larger.
    private(set) var budget: Int
    /// What surely fits.
    private(set) var room: Int

    /// - Parameters:
    ///   - sendBuffer: its size; there is room in it.
    ///   - largestWrite: what surely fits.
    init(sendBuffer: Int, largestWrite: Int) {
        budget = max(2048, min(262_144, sendBuffer / 8))
        room = largestWrite
    }

    var isLeft: Bool { budget > 0 }

    mutating func spend(_ bytes: Int) {
        budget -= bytes
        room -= bytes
    }
}
