/// What the errors mean that Redis answers commands with, by their first word
/// (https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors).
enum RedisRefusal {
    static func kind(of text: String) -> Substring { text.prefix { $0 != " " } }

    /// Whether the server has become a replica. Before Redis 7 a script wraps the error of its command.
    static func tellsOfDemotion(_ text: String) -> Bool {
        text.hasPrefix("READONLY") || text.contains("-READONLY ") || text.hasPrefix("MASTERDOWN")
    }
}
