/// The tasks that are going on, as a group would hold them. Not a group: its children would start on the global pool and
/// change threads twice, where these start on the executor of whoever starts them.
struct TaskSet {
    private var tasks: [UInt64: Task<Void, Never>] = [:]
    private var next: UInt64 = 0

    /// Names a task to be added.
    mutating func name() -> UInt64 {
        next += 1
        return next
    }

    mutating func add(_ name: UInt64, _ task: Task<Void, Never>) { tasks[name] = task }
    mutating func ended(_ name: UInt64) { tasks[name] = nil }

    /// In order, so that a simulated run can be replayed.
    func cancelAll() { for name in tasks.keys.sorted() { tasks[name]?.cancel() } }
}
