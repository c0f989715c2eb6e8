/// Whose an answer is that is kept in Redis, as its name there begins.
package enum AnswerOwner {
    /// - Parameter name: a tenant's, then a user's. It may hold colons.
    package static func beginning(_ name: String?) -> String { JobKey.escaped(name ?? "") + ":" }
}
