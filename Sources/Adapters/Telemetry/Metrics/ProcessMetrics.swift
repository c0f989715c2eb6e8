import Glibc

/// What the kernel says about this process, under the names that Prometheus' client libraries share.
/// https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
enum ProcessMetrics {
    struct Metric {
        let name: String
        let type: String
        let help: String
        let value: Double
    }

    static let buildInfo = "parley_build_info"
    static let logLinesDropped = "parley_log_lines_dropped_total"
    static let names: Set<String> = [
        buildInfo, logLinesDropped, "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
        "process_cpu_seconds_total", "process_start_time_seconds",
    ]

    /// Those that can be read; `/proc` may be absent.
    static func read() -> [Metric] {
        let all: [(String, String, String, Double?)] = [
            ("process_cpu_seconds_total", "counter", "User and system time spent, in seconds.", cpuSeconds()),
            ("process_max_fds", "gauge", "Most file descriptors this process may open.", maximumDescriptors()),
            ("process_open_fds", "gauge", "Open file descriptors.", openDescriptors()),
            ("process_resident_memory_bytes", "gauge", "Resident memory, in bytes.", residentBytes()),
            ("process_start_time_seconds", "gauge", "When the process started, in Unix time.", startTime),
        ]
        return all.compactMap { name, type, help, value in
            value.map { Metric(name: name, type: type, help: help, value: $0) }
        }
    }

    private static func cpuSeconds() -> Double? {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func maximumDescriptors() -> Double? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return Double(limit.rlim_cur)
    }

    private static func openDescriptors() -> Double? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return Double(max(0, count - 3))  // ".", ".." and the directory's own descriptor
    }

    /// proc(5), /proc/pid/statm: the second field, in pages.
    private static func residentBytes() -> Double? {
        guard let fields = contents(of: "/proc/self/statm")?.split(separator: " "), fields.count > 1,
            let pages = Double(fields[1])
        else { return nil }
        return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// proc(5), /proc/pid/stat: field 22, in ticks since the boot that /proc/stat dates. The second field, the command,
    /// may hold spaces and parentheses, so fields are counted from its closing one.
    private static let startTime: Double? = {
        guard let stat = contents(of: "/proc/self/stat"), let command = stat.lastIndex(of: ")"),
            let boot = contents(of: "/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let bootSeconds = Double(boot.dropFirst(6))
        else { return nil }
        let fields = stat[stat.index(after: command)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
        return bootSeconds + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }()

    private static func contents(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { return nil }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }
}
