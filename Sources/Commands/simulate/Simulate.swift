import ArgumentParser
import Glibc
import PipelineTestKit
import Synchronization

/// Runs the pipeline's simulation over as many random schedules as one likes. Not part of the product.
@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Runs the pipeline over random schedules of jobs, failures and crashes.")

    @Argument(help: "How many schedules.") var count: UInt64 = 1_000_000
    @Option(help: "The first schedule's seed; drawn when absent.") var seed: UInt64?
    @Option(help: "Ends when so many have failed.") var most = 10
    @Flag(help: "Runs one schedule and prints all that happened in it.") var replay = false

    func run() throws {
        let first = seed ?? UInt64.random(in: 0...(1 << 40))
        if replay {
            let report = SimulatedScenario(seed: first).run()
            print(report.story)
            if !report.isGood { throw ExitCode.failure }
            return
        }
        let threads = UInt64(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        print("\(count) schedules from seed \(first) on \(threads) threads")
        let work = Work(first: first, count: count, most: max(1, most))
        let started = ContinuousClock.now
        let workers = (0..<threads).compactMap { _ in Thread { work.run() } }
        let isTerminal = isatty(STDERR_FILENO) != 0
        while work.isRunning {
            usleep(200_000)
            if isTerminal { show("\r\(work.done) of \(count), \(work.failures.count) failed ") }
        }
        for worker in workers { worker.join() }
        if isTerminal { show("\r\u{1B}[K") }
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        for report in work.failures.prefix(3) { print(report.story) }
        print("\(work.done) schedules in \(Int(seconds.rounded())) s, \(work.failures.count) broke the contract")
        if let report = work.failures.first {
            print("replay one: scripts/simulate --replay --seed \(report.seed)")
            throw ExitCode.failure
        }
    }
}

/// The schedules still to run, shared by all threads, until too many have failed.
final class Work: Sendable {
    private let first: UInt64
    private let count: UInt64
    private let most: Int
    private let taken = Atomic<UInt64>(0)
    private let finished = Atomic<UInt64>(0)
    private let failed = Mutex<[SimulatedScenario.Report]>([])

    init(first: UInt64, count: UInt64, most: Int) {
        self.first = first
        self.count = count
        self.most = most
    }

    var done: UInt64 { finished.load(ordering: .relaxed) }
    /// The lowest seed first.
    var failures: [SimulatedScenario.Report] { failed.withLock { $0.sorted { $0.seed < $1.seed } } }
    var isRunning: Bool { done < count && failures.count < most }

    func run() {
        while failures.count < most {
            let index = taken.add(1, ordering: .relaxed).oldValue
            guard index < count else { return }
            let report = SimulatedScenario(seed: first &+ index).run()
            if !report.isGood { failed.withLock { $0.append(report) } }
            finished.add(1, ordering: .relaxed)
        }
    }
}

/// A POSIX thread: a schedule runs on the thread that it was begun on.
final class Thread {
    private var thread = pthread_t()

    init?(_ body: @escaping @Sendable () -> Void) {
        let context = Unmanaged.passRetained(Body(body)).toOpaque()
        let status = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, context)
        guard status == 0 else {
            Unmanaged<Body>.fromOpaque(context).release()
            return nil
        }
    }

    func join() { pthread_join(thread, nil) }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
}

private func show(_ text: String) {
    _ = Array(text.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
