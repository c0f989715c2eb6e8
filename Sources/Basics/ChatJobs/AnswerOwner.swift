/// Whose an answer is that is kept in Redis, as its name there begins.
package enum AnswerOwner {
    /// - Parameter name: a tenant's, then a user's. It may hold colons.
    package static func beginning(_ name: String?) -> String {
        guard let name else { return ":" }
        guard name.utf8.contains(where: { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "%") }) else {
            return name + ":"
        }
        return name.replacing("%", with: "%25").replacing(":", with: "%3A") + ":"
    }
}
