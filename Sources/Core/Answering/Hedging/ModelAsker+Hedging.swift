import ChatJobs

extension ModelAsker {
    /// A call, and a second one when the first takes longer than nearly all others: in a place of its own at the gate, within
    /// ``HedgeBook/share`` of all calls, and not after a piece of the answer was passed on.
    ///
    /// What the other of the two has cost is noted, and its place at the gate is given back, before this returns.
    func callHedged(
        _ flight: Flight, _ sources: [Source], _ caller: ModelCaller, within left: Duration?, _ sink: DeltaSink?,
        hasEnded: () -> Bool
    ) async -> ModelCaller.Call {
        let service = flight.choice.service
        let began = clock.now
        let streams = sink != nil
        let lead = flight.lead
        guard let delay = hedges[service, default: HedgeBook()].began(streams: streams) else {
            let race = HedgeRace(sink, clock: clock)
            let call = await caller.call(lead, sources, within: left, onDelta: race.sink(of: 0))
            learn(service, call, race, began: began, streams: streams)
            return call
        }
        let race = HedgeRace(sink, clock: clock)
        let (events, mailbox) = AsyncStream.makeStream(of: HedgeRace.Event.self)
        func start(_ place: Int, within left: Duration?) -> Task<ModelCaller.Call, Never> {
            let call = Task(executorPreference: executor) {
                let call = await caller.call(
                    lead, sources, within: left, onDelta: race.sink(of: place), trail: race.trails[place])
                mailbox.yield(.ended(place))
                return call
            }
            race.add(call)
            return call
        }
        let timer = Task(executorPreference: executor) { [clock] in
            await clock.sleep(for: delay)
            if !Task.isCancelled { mailbox.yield(.late) }
        }
        defer { timer.cancel() }
        let first = start(0, within: left)
        var second: Task<ModelCaller.Call, Never>?
        let winner = await withTaskCancellationHandler {
            for await event in events {
                switch event {
                case .late:
                    let isWanted = race.speaker == nil && !hasEnded() && hedges[service]?.canPay == true
                    let left = (left ?? flight.choice.timeout) - (clock.now - began)
                    guard isWanted, left > .zero, gates[flight.choice].enterIfFree() else { continue }
                    hedges[service]?.pay()
                    flight.route.agent.metrics.hedges.increment()
                    second = start(1, within: left)
                case .ended(let place):
                    guard let rival = place == 0 ? second : first else { return 0 }
                    let call = await (place == 0 ? first : second ?? first).value
                    // Who has failed leaves it to the other, which may have done so, too.
                    if call.failure == nil || race.speaker == place { return place }
                    let other = await rival.value
                    return other.failure == nil || race.speaker == 1 - place ? 1 - place : 0
                }
            }
            return 0
        } onCancel: {
            race.endAll()
        }
        guard let second else {
            let call = await first.value
            learn(service, call, race, began: began, streams: streams)
            return call
        }
        race.end(1 - winner)
        let (call, other) = await winner == 0 ? (first.value, second.value) : (second.value, first.value)
        if winner == 1, call.failure == nil { flight.route.agent.metrics.hedgesWon.increment() }
        noteRival(other, of: flight, caller)
        learn(service, call, race, began: began, streams: streams)
        return call
    }

    private func noteRival(_ call: ModelCaller.Call, of flight: Flight, _ caller: ModelCaller) {
        switch call.result {
        case .success(let answer): note(answer.asLost, of: flight)
        case .failure(let failure): note(failure.call, of: flight)
        }
        gates[flight.choice].leave(.unanswered)
    }

    private func learn(
        _ service: Dependency, _ call: ModelCaller.Call, _ race: HedgeRace, began: Duration, streams: Bool
    ) {
        if streams {
            if let first = race.firstPiece { hedges[service]?.came(after: first - began, streams: true) }
        } else if call.failure == nil {
            hedges[service]?.came(after: clock.now - began, streams: false)
        }
    }
}
