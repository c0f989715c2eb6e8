import ParleyPrimitives

/// How many calls at once a model is worth (`model.concurrency: auto`), found by trying.
///
/// Latency proposes, throughput decides. Limits that follow latency alone (Vegas and Gradient2 in Netflix's concurrency-limits)
/// are made for services whose calls take alike and which gain nothing from being asked more at once. A language model's
/// calls differ tenfold, and its server answers more in all the more it is asked at once, each of them more slowly: such a
/// limit throttles a healthy one. So fewer calls at once are tried when latency has grown, and now and then; they stay when as
/// much is answered with them, and are taken back when not, and tried again ever more seldom. More are tried as long as latency
/// does not grow.
///
/// Only rounds in which the limit was used, and nothing failed, say anything. A value: ``Gate`` tells it what came of calls.
struct FoundLimit {
    let ceiling: Int
    private(set) var limit: Int

    /// Calls that make a round: all places twice, and enough for a mean that two rounds alike have in common.
    private var roundLength: Int { max(2 * limit, 200) }
    private var round = Round()
    /// What is answered in a second, smoothed; and the most that it was, forgotten slowly.
    private var throughput: Double?
    private var peak = 0.0
    /// The least mean latency of a round, in seconds, forgotten slowly; and that which calls are known to have for their number.
    private var least: Double?
    private var usual: Double?
    private var trial: Trial?
    /// Rounds until fewer are tried, and how many it will be the next time that it was in vain.
    private var rest = FoundLimit.firstRest
    private var nextRest = FoundLimit.firstRest
    private var isFine = false

    private struct Round {
        var began: Duration?
        var answers = 0
        var used = 0
        var seconds = 0.0
    }

    private struct Trial {
        /// What is gone back to.
        let limit: Int
        /// Of each of its rounds; the first has calls of before in it, and does not count.
        var throughputs: [Double] = []
        var least = Double.infinity
    }

    private static let firstRest = 2
    private static let longestRest = 512
    /// How many fewer are tried: at first, and when that was too few.
    private static let coarse = 0.7
    private static let fine = 0.85
    /// As much is answered.
    private static let enough = 0.95
    /// Less is answered: the server is slow by itself, and not because of too many calls.
    private static let less = 0.9
    /// Latency has grown; and has not.
    private static let grown = 1.3
    private static let same = 1.05
    private static let forgetting = 1.003
    private static let trialRounds = 3

    init(ceiling: Int) {
        self.ceiling = ceiling
        limit = ceiling
    }

    /// A call was answered.
    ///
    /// - Parameter isUsed: as many were under way as may be, or others waited.
    mutating func answered(after length: Duration, isUsed: Bool, now: Duration) {
        guard let began = round.began else {
            round.began = now
            return
        }
        round.answers += 1
        round.used += isUsed ? 1 : 0
        round.seconds += length / .seconds(1)
        guard round.answers >= roundLength, now > began else { return }
        let ended = round
        round = Round()
        round.began = now
        guard ended.used * 10 >= ended.answers * 9 else { return goBack() }
        let answers = Double(ended.answers)
        learn(answers / ((now - began) / .seconds(1)), latency: ended.seconds / answers)
    }

    /// Something else than the number of calls has a part in what is answered: what was being measured says nothing.
    mutating func disturbed() {
        round = Round()
        rest = max(rest, Self.firstRest)
        goBack()
    }

    private mutating func goBack() {
        if let trial { limit = trial.limit }
        trial = nil
    }

    private mutating func learn(_ answered: Double, latency: Double) {
        if trial != nil { return judge(answered, latency) }
        let throughput = throughput.map { $0 + (answered - $0) / 2 } ?? answered
        self.throughput = throughput
        peak = max(throughput, peak / Self.forgetting)
        let least = min(latency, (least ?? latency) * Self.forgetting)
        self.least = least
        let usual = min(latency, (usual ?? latency) * Self.forgetting)
        self.usual = usual
        rest -= 1
        guard answered >= Self.less * peak else {
            rest = max(rest, Self.firstRest)
            return
        }
        if latency > Self.grown * usual {
            tryLower(max(0.5, min(share, usual / latency)))
        } else if rest <= 0 {
            tryLower(share)
        } else if latency <= Self.same * least {
            limit = min(ceiling, limit + max(1, Int(Double(limit).squareRoot())))
        }
    }

    private var share: Double { isFine ? Self.fine : Self.coarse }

    private mutating func tryLower(_ share: Double) {
        let lower = max(1, Int(Double(limit) * share))
        guard lower < limit else { return }
        trial = Trial(limit: limit)
        limit = lower
    }

    private mutating func judge(_ answered: Double, _ latency: Double) {
        guard var ended = trial else { return }
        ended.throughputs.append(answered)
        ended.least = min(ended.least, latency)
        trial = ended
        guard ended.throughputs.count == Self.trialRounds else { return }
        trial = nil
        let answered = ended.throughputs.dropFirst().reduce(0, +) / Double(Self.trialRounds - 1)
        if answered >= Self.enough * peak {
            // As much with fewer. With fewer still?
            least = min(ended.least, least ?? .infinity)
            usual = min(ended.least, usual ?? .infinity)
            throughput = answered
            rest = 1
            return
        }
        limit = ended.limit
        if isFine {
            // What calls take with this limit is what it costs.
            usual = nil
            rest = nextRest
            nextRest = min(Self.longestRest, nextRest * 2)
        } else {
            rest = 1
        }
        isFine.toggle()
    }
}
