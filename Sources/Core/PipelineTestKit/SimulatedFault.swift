/// Something that goes wrong at some time.
struct SimulatedFault: Sendable {
    enum Kind: Sendable {
        case storeAway(Duration)
        case outboxLost(Duration)
        case connectionCut(Duration)
        /// SIGKILL, and another worker after a pause.
        case killed(pause: Duration)
        /// SIGTERM, the end of the grace period, and another worker.
        case stopped(grace: Duration)
        case modelAway(Duration)
        /// - hanging: whoever listens does not answer.
        case passagesAway(Duration, hanging: Bool)
        case replyQueuesFull(Duration)
        /// `parley revoke` for some job; workers look after a while.
        case revoked(noticed: Duration)
    }

    /// The most in one run.
    static let most = 4

    let at: Duration
    let kind: Kind

    /// Now and then reply queues are full for a while, or for longer than jobs wait for them.
    static func drawFullQueues(_ draw: inout SeededGenerator) -> [SimulatedFault] {
        guard draw.chance(20) else { return [] }
        let length = draw.chance(10) ? Duration.seconds(100) : .milliseconds(Int.random(in: 1...4000, using: &draw))
        return [
            SimulatedFault(at: .milliseconds(Int.random(in: 0...1200, using: &draw)), kind: .replyQueuesFull(length))
        ]
    }

    /// What goes wrong while batches are made and waited for: bulk gathers for a second before.
    static func drawNight(_ draw: inout SeededGenerator) -> [SimulatedFault] {
        (0..<Int.random(in: 0...3, using: &draw)).map { _ in
            let length = Duration.milliseconds(Int.random(in: 1...3000, using: &draw))
            let kind: Kind =
                switch Int.random(in: 0..<6, using: &draw) {
                case 0: .storeAway(length)
                case 1: .connectionCut(length)
                case 2: .stopped(grace: length)
                default: .killed(pause: length)
                }
            return SimulatedFault(at: .milliseconds(Int.random(in: 900...9000, using: &draw)), kind: kind)
        }
    }

    static func draw(workers: Int, _ draw: inout SeededGenerator) -> [SimulatedFault] {
        let kinds = [0, 1, 1, 2, 3, most].randomElement(using: &draw) ?? 0
        return (0..<kinds).map { _ in
            let length = Duration.milliseconds(Int.random(in: 1...400, using: &draw))
            let kind: Kind =
                switch Int.random(in: 0..<9, using: &draw) {
                case 0: .storeAway(length)
                case 1: .outboxLost(length)
                case 2: .connectionCut(length)
                case 3: .killed(pause: length)
                case 4: .stopped(grace: length)
                case 5: .modelAway(length * 5)
                case 7: .passagesAway(length * 5, hanging: false)
                case 8: .passagesAway(length * 5, hanging: true)
                default: .revoked(noticed: length)
                }
            return SimulatedFault(at: .microseconds(Int.random(in: 0...1_200_000, using: &draw)), kind: kind)
        }
    }
}
