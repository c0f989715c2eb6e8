import IOLoop

/// Names whose look-up was given up while libcurl's thread still waited for it.
///
/// Such a thread cannot be stopped: it stays until the resolver's own time is up. So that a dead name server does not
/// cost a thread for each request, a name of which many were given up of late is not looked up.
struct Lookups {
    private var abandoned: [(host: String, at: IOInstant)] = []

    /// The threads that one name may hold.
    static let limit = 32
    /// How long a look-up takes at most, as the C library has it by default with three name servers: 2 × 3 × 5 s.
    static let life = Duration.seconds(30)

    mutating func abandon(_ target: Target) {
        guard !target.isAddress else { return }
        abandoned.append((target.url.host, .now))
    }

    mutating func mayBegin(_ target: Target) -> Bool {
        guard !abandoned.isEmpty, !target.isAddress else { return true }
        let now = IOInstant.now
        abandoned.removeAll { now - $0.at > Self.life }
        return abandoned.reduce(0) { $0 + ($1.host == target.url.host ? 1 : 0) } < Self.limit
    }
}
