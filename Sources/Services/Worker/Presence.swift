import Answering
import ChatJobs
import Glibc
import ParleyJSON
import ParleySettings

/// What `parley status` shows of this worker.
actor Presence {
    private let host: String
    private let settings: Settings
    private let started: Timestamp
    private(set) var isDraining = false
    /// Settled jobs at each of the last pulses.
    private var history: [(at: ContinuousClock.Instant, settled: UInt64)] = []

    /// The time over which the rate is measured.
    private static let span = Duration.seconds(10)

    init(_ settings: Settings) {
        self.settings = settings
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        started = Timestamp(milliseconds: Int64(time(nil)) * 1000)
    }

    func drain() { isDraining = true }

    /// - Parameter settled: jobs settled since the worker started.
    func json(inFlight: Int, settled: UInt64, away: [Dependency]) -> [UInt8] {
        let now = ContinuousClock.now
        history.removeAll { now - $0.at > Self.span }
        history.append((now, settled))
        var rate = 0.0
        if let first = history.first, now > first.at {
            rate = Double(settled - first.settled) / ((now - first.at) / .seconds(1))
        }
        var json = JSONWriter()
        json.object {
            $0.member("host", host)
            $0.member("pid", Int(getpid()))
            $0.member("version", parleyVersion)
            $0.member("started", started.rfc3339)
            $0.member("queue", settings.queue.name)
            $0.member("state", isDraining ? "draining" : away.isEmpty ? "working" : "paused")
            $0.key("away")
            $0.array { json in for service in away { json.string(service.description) } }
            $0.member("in_flight", inFlight)
            $0.member("jobs", Int(clamping: settled))
            $0.key("rate")
            $0.rounded(rate)
            $0.member("prefetch", settings.worker.prefetch)
        }
        return json.bytes
    }
}
