import Synchronization

/// Two calls for one answer, of which the first to say something is heard and the other is ended.
final class HedgeRace: Sendable {
    enum Event: Sendable {
        case ended(Int)
        /// The first call has taken so long that a second is worth it.
        case late
    }

    private struct State {
        var calls: [Task<ModelCaller.Call, Never>] = []
        var speaker: Int?
        var firstPiece: Duration?
    }

    private let state = Mutex(State())
    private let sink: DeltaSink?
    private let clock: any PipelineClock
    let trails: [CallTrail]

    init(_ sink: DeltaSink?, clock: any PipelineClock) {
        self.sink = sink
        self.clock = clock
        let first = CallTrail()
        trails = [first, CallTrail(elsewhereThan: first)]
    }

    /// Whose pieces are passed on: after one, no other call can take its place.
    var speaker: Int? { state.withLock { $0.speaker } }
    /// When the first piece came.
    var firstPiece: Duration? { state.withLock { $0.firstPiece } }

    func add(_ call: Task<ModelCaller.Call, Never>) { state.withLock { $0.calls.append(call) } }

    /// Nil when nobody wants pieces.
    func sink(of place: Int) -> DeltaSink? {
        guard let sink else { return nil }
        return { piece in
            if self.speaks(place) { await sink(piece) }
        }
    }

    private func speaks(_ place: Int) -> Bool {
        let (isSpeaker, isNew) = state.withLock { state in
            guard let speaker = state.speaker else {
                state.speaker = place
                state.firstPiece = clock.now
                return (true, true)
            }
            return (speaker == place, false)
        }
        if isNew { end(1 - place) }
        return isSpeaker
    }

    /// Ends a call that another was faster than.
    func end(_ place: Int) {
        trails[place].isBeaten = true
        state.withLock { $0.calls.indices.contains(place) ? $0.calls[place] : nil }?.cancel()
    }

    /// Nobody waits for the answer any more.
    func endAll() { for call in state.withLock({ $0.calls }) { call.cancel() } }
}

/// Where a call goes that may have a rival.
package final class CallTrail: Sendable {
    private let state = Mutex<(places: Set<Int>, isBeaten: Bool)>(([], false))
    private let rival: CallTrail?

    init(elsewhereThan rival: CallTrail? = nil) { self.rival = rival }

    /// The endpoints that it has been at.
    private var places: Set<Int> { state.withLock { $0.places } }
    /// Not to be asked, if there are others.
    var avoided: Set<Int> { rival?.places ?? [] }
    func note(_ place: Int) { state.withLock { _ = $0.places.insert(place) } }

    /// The rival was faster: it is ended for that.
    var isBeaten: Bool {
        get { state.withLock { $0.isBeaten } }
        set { state.withLock { $0.isBeaten = newValue } }
    }
}
