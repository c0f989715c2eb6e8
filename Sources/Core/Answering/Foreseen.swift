import ChatJobs

extension Answering {
    /// What is decided, known, or being looked up, of jobs that are about to be asked about.
    package struct Foreseen: Sendable {
        /// By the tokens of the jobs.
        var routes: [UInt64: Route] = [:]
        /// Of the jobs whose answers are shared.
        var keys: [UInt64: AnswerKey] = [:]
        /// What the store has of those that are not in memory.
        var stored: Task<[AnswerKey: AnswerCache.Standing], Never>?
        package var isLooking: Bool { stored != nil }
    }
}
