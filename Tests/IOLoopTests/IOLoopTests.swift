import CEpoll
import Glibc
import IOLoop
import Synchronization
import Testing

private actor Pinned {
    let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    var log: [String] = []
    init(_ loop: IOLoop) { self.loop = loop }

    func onLoop() -> Bool { loop.isCurrent }

    func hookOrder() async -> [String] {
        loop.atTurnEnd { self.assumeIsolated { $0.log.append("hook") } }
        log.append("job")
        Task { log.append("later job") }
        await withCheckedContinuation { continuation in loop.schedule(after: .milliseconds(5)) { continuation.resume() }
        }
        return log
    }

    func timers() async -> [Int] {
        await withCheckedContinuation { continuation in
            var fired: [Int] = []
            loop.schedule(after: .milliseconds(20)) {
                fired.append(3)
                continuation.resume(returning: fired)
            }
            loop.schedule(after: .milliseconds(1)) { fired.append(1) }
            let cancelled = loop.schedule(after: .milliseconds(2)) { fired.append(99) }
            loop.schedule(after: .milliseconds(10)) { fired.append(2) }
            loop.cancel(cancelled)
        }
    }

    func dueTimers() async -> [Int] {
        await withCheckedContinuation { continuation in
            var fired: [Int] = []
            for never in [Duration.seconds(Int64.max), .seconds(Int64.max / 2), .seconds(400 * 366 * 86_400)] {
                loop.schedule(after: never) { fired.append(99) }
            }
            for overdue in [Duration.seconds(Int64.min), .seconds(-5), .zero] {
                loop.schedule(after: overdue) { fired.append(1) }
            }
            loop.schedule(after: .milliseconds(5)) { continuation.resume(returning: fired) }
        }
    }

    func echo(through fds: (Int32, Int32)) async throws -> [UInt8] {
        try await withCheckedThrowingContinuation { continuation in
            do {
                var source: IOSource?
                source = try loop.add(fds.0, for: .readable) { readiness in
                    var buffer = [UInt8](repeating: 0, count: 16)
                    let count = read(fds.0, &buffer, 16)
                    if let source { self.loop.remove(source) }
                    continuation.resume(returning: Array(buffer.prefix(count)))
                }
                var byte: UInt8 = 7
                _ = write(fds.1, &byte, 1)
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

@Suite struct IOLoopTests {
    @Test func actorsOfALoopRunOnItsThread() async throws {
        let loop = try IOLoop(name: "test")
        defer { loop.stop() }
        #expect(await Pinned(loop).onLoop())
        #expect(!loop.isCurrent)
    }

    @Test func turnEndHooksRunAfterTheJobsOfTheTurn() async throws {
        let loop = try IOLoop(name: "test")
        defer { loop.stop() }
        #expect(await Pinned(loop).hookOrder() == ["job", "later job", "hook"])
    }

    @Test func timersFireInOrderAndCancelledOnesDoNot() async throws {
        let loop = try IOLoop(name: "test")
        defer { loop.stop() }
        #expect(await Pinned(loop).timers() == [1, 2, 3])
    }

    @Test func delaysBeyondAllTimeAndBelowZeroAreDelays() async throws {
        let loop = try IOLoop(name: "test")
        defer { loop.stop() }
        #expect(await Pinned(loop).dueTimers() == [1, 1, 1])
    }

    @Test func aReadableDescriptorCallsItsHandler() async throws {
        let loop = try IOLoop(name: "test")
        defer { loop.stop() }
        var fds: [Int32] = [0, 0]
        #expect(pipe(&fds) == 0)
        defer { for fd in fds { close(fd) } }
        #expect(try await Pinned(loop).echo(through: (fds[0], fds[1])) == [7])
    }

    @Test func jobsFromManyThreadsAllRun() async throws {
        let loop = try IOLoop(name: "test")
        defer { loop.stop() }
        let pinned = Pinned(loop)
        let total = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<10_000 { group.addTask { await pinned.onLoop() } }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(total == 10_000)
    }

    @Test func offloadedWorkRunsElsewhere() async throws {
        let here = pthread_self()
        let elsewhere = try await offload("blocking") { pthread_equal(here, pthread_self()) == 0 }
        #expect(elsewhere)
    }

    @Test func wakingAStoppedLoopWritesToNobodyElsesDescriptor() async throws {
        let loop = try IOLoop(name: "stopped-early")
        #expect(await Pinned(loop).onLoop())
        loop.stop()
        let deadline = ContinuousClock.now + .seconds(10)
        while threadExists("stopped-early"), ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(1))
        }
        // Whatever numbers the loop has given back go to these.
        var pairs: [(Int32, Int32)] = []
        for _ in 0..<64 {
            var pair: [Int32] = [0, 0]
            #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
            pairs.append((pair[0], pair[1]))
        }
        defer { for (left, right) in pairs { _ = (close(left), close(right)) } }
        loop.stop()
        for (left, right) in pairs {
            for end in [left, right] {
                var byte: UInt8 = 0
                #expect(recv(end, &byte, 1, Int32(MSG_DONTWAIT)) == -1)
            }
        }
    }
}

private func threadExists(_ name: String) -> Bool {
    guard let folder = opendir("/proc/self/task") else { return false }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
        let id = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        guard let file = fopen("/proc/self/task/\(id)/comm", "r") else { continue }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 32)
        guard fgets(&line, 32, file) != nil else { continue }
        if String(decoding: line.prefix { $0 > 10 }.map(UInt8.init(bitPattern:)), as: UTF8.self) == name { return true }
    }
    return false
}
