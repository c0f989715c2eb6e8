import ChatJobs

extension Answering {
    /// What is decided, known, or being looked up, of jobs that are about to be asked about.
    package struct Foreseen: Sendable {
        /// By the tokens of the jobs.
        var routes: [UInt64: Route] = [:]
        /// Of the jobs whose answers are shared.
        var keys: [UInt64: AnswerKey] = [:]
        /// The fresh answers that are in memory, which may expire until they are given.
        var inMemory: [AnswerKey: AnswerCache.Found] = [:]
        /// For those that are not in memory.
        var look: StoreLook?
        package var isLooking: Bool { look != nil }
    }
}
