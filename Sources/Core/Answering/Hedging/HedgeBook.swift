/// When a call to a model has taken so long that a second one is worth its price (`model.hedge`), and whether it can be paid for:
/// "hedged requests" (Dean and Barroso, The Tail at Scale, 2013).
struct HedgeBook: Sendable {
    /// Second calls to a hundred calls.
    static let share = 2
    /// Second calls that were not made may be made later, up to so many at once.
    static let mostSaved = 4

    private var wholes = RecentDurations()
    private var firstPieces = RecentDurations()
    /// In hundredths of a second call.
    private var saved = 0

    /// A call begins.
    ///
    /// - Returns: after how long a second one is worth it: when 95 of 100 have answered, or given their first piece. Nil: too
    ///   little is known.
    mutating func began(streams: Bool) -> Duration? {
        saved = min(Self.mostSaved * 100, saved + Self.share)
        return streams ? firstPieces.late : wholes.late
    }

    /// An answer, or its first piece, came so long after the first call.
    mutating func came(after time: Duration, streams: Bool) {
        if streams { firstPieces.add(time) } else { wholes.add(time) }
    }

    var canPay: Bool { saved >= 100 }
    mutating func pay() { saved -= 100 }
}

/// How long the last calls took.
struct RecentDurations: Sendable {
    /// With fewer nothing is said.
    static let fewest = 32
    private static let most = 256
    private static let refresh = 16

    private var ring: [Duration] = []
    private var next = 0
    /// What 95 of 100 took at most, as of a few calls ago.
    private(set) var late: Duration?

    mutating func add(_ time: Duration) {
        if ring.count < Self.most { ring.append(time) } else { ring[next] = time }
        next = (next + 1) % Self.most
        guard ring.count >= Self.fewest, late == nil || next.isMultiple(of: Self.refresh) else { return }
        late = ring.sorted()[(ring.count * 95 - 1) / 100]
    }
}
