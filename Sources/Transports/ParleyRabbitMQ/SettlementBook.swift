import DequeModule

/// Which deliveries of one channel's life are unsettled, and which settlements are to be sent.
///
/// One `multiple` acknowledgement stands for a run of them only when every lower tag is settled, because it settles
/// all of those too. A tag that was never seen is outstanding: whoever has it, it is not to be settled from here.
struct SettlementBook {
    enum Settlement: Equatable {
        case acknowledge(UInt64, multiple: Bool)
        case reject(UInt64, requeue: Bool)
    }

    private enum Mark: UInt8 { case outstanding, acknowledged, settled }

    /// The tag of `marks[0]`; all below are settled and sent.
    private var first: UInt64 = 1
    private var marks = Deque<Mark>()
    private var rejected = Deque<(number: UInt64, requeue: Bool)>()
    private var acknowledged = Deque<UInt64>()
    /// Deliveries that the consumer has not settled.
    private(set) var outstanding = 0
    /// Those among them that came before the last call of ``closeRound()``.
    private(set) var outstandingBefore = 0
    private var roundStart: UInt64 = 0

    /// What the broker, which numbers deliveries in order, makes of a tag.
    enum Arrival: Equatable {
        case expected
        /// Tags were left out: from here on each delivery is acknowledged by itself.
        case afterGap
        /// It has been delivered before, or is no tag.
        case repeated
        /// So many are left out that it cannot be borne.
        case beyondBounds
    }

    private static let largestGap: UInt64 = 65_536
    private var hasGap = false

    mutating func delivered(_ number: UInt64) -> Arrival {
        let expected = first + UInt64(marks.count)
        guard number >= expected else { return .repeated }
        guard number - expected <= Self.largestGap, number < .max else { return .beyondBounds }
        if number > expected {
            hasGap = true
            for _ in expected..<number { marks.append(.settled) }
        }
        marks.append(.outstanding)
        outstanding += 1
        return number > expected ? .afterGap : .expected
    }

    /// False when the tag is unknown or already settled; sending it would make the broker close the channel.
    mutating func acknowledge(_ number: UInt64) -> Bool {
        guard settle(number, .acknowledged) else { return false }
        acknowledged.append(number)
        return true
    }

    /// As ``acknowledge(_:)``.
    mutating func reject(_ number: UInt64, requeue: Bool) -> Bool {
        guard settle(number, .settled) else { return false }
        rejected.append((number, requeue))
        return true
    }

    private mutating func settle(_ number: UInt64, _ mark: Mark) -> Bool {
        guard number >= first, number - first < UInt64(marks.count) else { return false }
        let index = Int(number - first)
        guard marks[index] == .outstanding else { return false }
        marks[index] = mark
        outstanding -= 1
        if number < roundStart { outstandingBefore -= 1 }
        return true
    }

    /// What was delivered so far was delivered to consumers that are no more: nobody counts it against their prefetch.
    mutating func closeRound() {
        roundStart = first + UInt64(marks.count)
        outstandingBefore = outstanding
    }

    /// The next settlement to send. Rejections go first: a later `multiple` must not acknowledge what is rejected.
    mutating func next() -> Settlement? {
        if let (number, requeue) = rejected.popFirst() { return .reject(number, requeue: requeue) }
        return hasGap ? nextSingle() : nextRun() ?? nextSingle()
    }

    private mutating func nextRun() -> Settlement? {
        var highest: UInt64 = 0
        var count = 0
        while let mark = marks.first, mark != .outstanding {
            if mark == .acknowledged {
                highest = first
                count += 1
            }
            marks.removeFirst()
            first += 1
        }
        return count > 0 ? .acknowledge(highest, multiple: count > 1) : nil
    }

    private mutating func nextSingle() -> Settlement? {
        while let number = acknowledged.popFirst() {
            guard number >= first else { continue }
            marks[Int(number - first)] = .settled
            while marks.first == .settled {
                marks.removeFirst()
                first += 1
            }
            return .acknowledge(number, multiple: false)
        }
        return nil
    }
}
