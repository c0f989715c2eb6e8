import ChatJobs

/// One question on its way to its answer, and the inquiries that wait for it: more than one when equal questions were asked
/// meanwhile.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class Flight {
    /// An inquiry that waits for the answer.
    final class Member {
        let inquiry: Inquiry
        fileprivate(set) var flight: Flight
        let begun: Duration
        /// Ends it at its deadline.
        var deadline: Task<Void, Never>?
        /// What came of it is known: nothing ends it any more.
        var isConcluded = false
        /// Concludes it, when the flight's own task does not.
        var conclusion: Task<Void, Never>?
        /// Pieces of the answer that came before it, to be given to it with the next.
        var backlog = ""
        private(set) var hasPieces = false

        init(_ inquiry: Inquiry, of flight: Flight, begun: Duration) {
            self.inquiry = inquiry
            self.flight = flight
            self.begun = begun
        }

        fileprivate func give(_ piece: String, _ onDelta: DeltaSink) async {
            let pieces = backlog + piece
            backlog = ""
            hasPieces = true
            await onDelta(pieces)
        }

        /// What it has not been given of the answer; nil when it was given something else. Who has joined late, or is given what
        /// was answered before, has it in one piece.
        ///
        /// - Parameter reuse: where the answer comes from.
        func rest(of answer: String, _ reuse: Reuse?) -> String? {
            if !hasPieces { return answer }
            // Of the very call that gave the pieces: they are all of it, thinking perhaps among it.
            if !flight.isRelayed, reuse.map({ $0.from == .coalesced }) ?? true { return backlog }
            return flight.text.rest(of: answer)
        }
    }

    var route: Route
    /// The model that is asked, or was asked last.
    var choice: ModelChoice
    /// Its place in a call that it shares.
    var seat: PromptBatch.Seat?
    /// It goes with the next batch of its model's.
    var isForBatch = false
    /// Its limits let it ask no model.
    var isHeldBack = false
    /// Of the call that made the question stand alone.
    var rewriting: Answer?
    /// What the question is known by; nil when its answer is not shared.
    let key: AnswerKey?
    /// Who began it: the model is asked with this one's job, also when others wait longer.
    let lead: Inquiry
    /// The first of them has to account for the model's call.
    private(set) var members: [Member] = []
    /// Nil while an answer is looked for in the store.
    var task: Task<Void, Never>?
    var search: (search: WindowSearch, place: Int)?
    /// All workers share the answer, and this one is to make it.
    var isMaker = false
    /// Waits for the search.
    var waiter: CheckedContinuation<Void, Never>?
    /// Why it is to end now: the last member was ended.
    var ending: AnswerOutcome.Ending?
    /// An expired answer that may stand in while the model is away.
    var standIn: AnswerCache.Found?
    /// What has been said of the answer.
    private(set) var text = StreamedText()
    /// Some of it by another worker.
    var isRelayed = false

    init(_ lead: Inquiry, _ route: Route, key: AnswerKey?) {
        self.lead = lead
        self.route = route
        choice = route.agent.choices[0]
        self.key = key
    }

    /// Nobody asked for it: its answer is made anew before it expires.
    var isRenewal = false
    /// An answer that was made for another may be given to it.
    var isShared: Bool { key != nil && (lead.job.options.cache == .use || isRenewal) }

    func add(_ member: Member) {
        member.flight = self
        members.append(member)
    }
    func remove(_ member: Member) { members.removeAll { $0 === member } }

    var wantsPieces: Bool { members.contains { $0.inquiry.onDelta != nil } }

    /// For those who join now.
    var streamed: String { text.isBroken ? "" : text.had }

    /// Another call is made for the answer, here or elsewhere.
    func callBegins() {
        text.beginAnew()
        setBacklogs()
    }

    /// Gives a piece of the answer to all who want pieces.
    func pass(_ piece: String) async {
        let wasBroken = text.isBroken
        let more = text.take(piece)
        if text.isBroken != wasBroken { setBacklogs() }
        guard !more.isEmpty else { return }
        for member in members {
            if let onDelta = member.inquiry.onDelta { await member.give(more, onDelta) }
        }
    }

    /// Who has had no pieces has the next with all before it.
    private func setBacklogs() {
        for member in members where !member.hasPieces { member.backlog = streamed }
    }

    /// What they waited for is there.
    func takeMembers() -> [Member] {
        defer { members = [] }
        return members
    }

    /// The best of its members', in the lead's name.
    var rank: Rank {
        let best = members.map(\.inquiry.rank).min() ?? lead.rank
        return Rank(priority: best.priority, deadline: best.deadline, arrival: lead.rank.arrival)
    }
}

/// What came of a flight, for each of its members.
final class Landing: Sendable {
    let route: Route
    let result: AnswerOutcome.Result
    let started: Duration
    /// When its passages were there.
    let retrieved: Duration
    let ended: Duration

    init(route: Route, result: AnswerOutcome.Result, started: Duration, retrieved: Duration, ended: Duration) {
        self.route = route
        self.result = result
        self.started = started
        self.retrieved = retrieved
        self.ended = ended
    }

    /// It took no time.
    convenience init(of flight: Flight, _ result: AnswerOutcome.Result, at now: Duration) {
        self.init(route: flight.route, result: result, started: now, retrieved: now, ended: now)
    }

    /// - Parameter isFirst: the member accounts for the model's call.
    func outcome(for member: Flight.Member, isFirst: Bool) -> AnswerOutcome {
        var result = result
        if !isFirst, case .answered(let answer, nil) = result { result = .answered(answer, reuse: Reuse(.coalesced)) }
        return AnswerOutcome(
            result: result, route: route, retrieving: max(.zero, retrieved - max(started, member.begun)),
            generating: max(.zero, ended - max(retrieved, member.begun)))
    }
}
