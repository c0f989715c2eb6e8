import Glibc

/// How much memory this process may use before the kernel kills it: what its control groups allow.
package enum MemoryLimit {
    /// The narrowest limit in bytes; nil when there is none.
    ///
    /// - Parameter root: where the kernel's files are; another one in tests.
    package static func read(root: String = "") -> Int? {
        var limits: [Int?] = []
        // Version 2, from the process's own group up to the root; a container sees its own as the root.
        if let group = line(root + "/proc/self/cgroup", beginning: "0::") {
            var parts = group.split(separator: "/")
            while true {
                let path = parts.map { "/\($0)" }.joined()
                limits.append(number(root + "/sys/fs/cgroup\(path)/memory.max"))
                if parts.isEmpty { break }
                parts.removeLast()
            }
        }
        limits.append(number(root + "/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        // Version 1 has no word for none, but a number that no machine has.
        return limits.compactMap(\.self).filter { (1..<1 << 50).contains($0) }.min()
    }

    private static func line(_ path: String, beginning: String) -> Substring? {
        let text = try? FileText.read(path, limit: 1 << 16)
        return text?.split(separator: "\n").first { $0.hasPrefix(beginning) }?.dropFirst(beginning.count)
    }

    private static func number(_ path: String) -> Int? {
        (try? FileText.read(path, limit: 64)).flatMap { Int($0.filter { !$0.isWhitespace }) }
    }
}

extension Settings {
    /// What a worker takes beside jobs and kept answers, an index apart.
    private static let base = 64 << 20

    /// What the jobs that a worker holds may take: each its body, and what was read of it, which is as long.
    private var largestJobs: Int { 2 * worker.prefetch * limits.body }

    /// That whoever may publish can have the kernel kill the worker, with jobs that are as large as allowed.
    /// - Parameter memory: what this process may use; nil: as much as there is.
    package func memoryOddity(_ memory: Int?) -> String? {
        let rest = cache.memory + Self.base
        guard let memory, largestJobs + rest > memory else { return nil }
        let most = (memory - rest) / (2 * limits.body)
        return
            "worker.prefetch \(worker.prefetch) jobs of limits.body may take \(largestJobs >> 20) MiB, twice their bodies, beside "
            + "\(rest >> 20) MiB for kept answers and the rest, and the kernel kills this process at \(memory >> 20) MiB: whoever may publish "
            + "can make it; "
            + (most > 0
                ? "lower worker.prefetch to \(most), or limits.body, or allow more"
                : "allow more, or lower limits.body")
    }
}
