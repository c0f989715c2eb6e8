/// What the errors mean that Redis answers commands with, by their first word
/// (https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors).
enum RedisRefusal {
    static func kind(of text: String) -> Substring { text.prefix { $0 != " " } }

    /// What to do about an error that does not say so itself; nil for others.
    static func remedy(for text: String) -> String? {
        switch kind(of: text) {
        case "MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN", "TRYAGAIN":
            "it is a Redis Cluster; a single primary is needed, with or without replicas"
        case "NOAUTH": "give a password in the URL, redis://user:password@host"
        case "READONLY": "it is a replica: the URL must name the primary, or all servers, or Sentinels"
        case "MASTERDOWN": "it is a replica that has lost its primary: the URL must name all servers, or Sentinels"
        case "NOREPLICAS": "fewer replicas follow it than its min-replicas-to-write"
        case "BUSY": "a script of somebody's does not end: SCRIPT KILL"
        case "OOM": "its maxmemory is used up"
        case "MISCONF": "it cannot write to its disk"
        default: nil
        }
    }

    /// Whether the server has become a replica. Before Redis 7 a script wraps the error of its command.
    static func tellsOfDemotion(_ text: String) -> Bool {
        text.hasPrefix("READONLY") || text.contains("-READONLY ") || text.hasPrefix("MASTERDOWN")
    }
}
