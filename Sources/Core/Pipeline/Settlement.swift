/// What is still to be done with one delivery: an outcome is made safe, step by step, and only then acknowledged. It knows
/// no sockets; the pipeline performs the steps and reports what came of them.
struct Settlement {
    /// In the order in which they are done.
    enum Step: UInt8 {
        /// Keep the reply under the job's id.
        case store
        /// Publish the reply and wait for the broker's confirm.
        case publish
        /// Publish the message to the dead-letter queue and wait for the confirm.
        case deadLetter
        /// Give up the claim on the job.
        case release
        /// Publish the message to the delay queues and wait for the confirm.
        case postpone
        /// The outcome is safe: the job may leave the queue.
        case acknowledge
    }

    /// The bit of each step that is left.
    private var left: UInt8

    private init(_ steps: [(step: Step, isWanted: Bool)]) {
        left = steps.reduce(Self.bit(.acknowledge)) { $1.isWanted ? $0 | Self.bit($1.step) : $0 }
    }

    /// The job has ended.
    init(storing: Bool = false, publishing: Bool, deadLettering: Bool = false) {
        self.init([(.store, storing), (.publish, publishing), (.deadLetter, deadLettering)])
    }

    /// The job comes back later. Its claim is given up first: once the message is in the delay queues another worker may
    /// get it.
    static func postponement(releasing: Bool) -> Settlement { Settlement([(.release, releasing), (.postpone, true)]) }

    /// The step to perform now; nil when the delivery is settled.
    var next: Step? { Step(rawValue: UInt8(left.trailingZeroBitCount)) }

    /// The current step has been done and confirmed.
    mutating func completed() {
        precondition(left != 0, "a settled delivery has no step to complete")
        left &= left - 1
    }

    private static func bit(_ step: Step) -> UInt8 { 1 << step.rawValue }
}
