import ChatJobs

extension Answering {
    /// What is decided, known, or being looked up, of jobs that are about to be asked about.
    package struct Foreseen: Sendable {
        /// By the tokens of the jobs.
        var routes: [UInt64: Route] = [:]
        /// Of the jobs whose answers are shared.
        var keys: [UInt64: AnswerKey] = [:]
        /// For those that are not in memory.
        var look: StoreLook?
        package var isLooking: Bool { look != nil }
    }
}
