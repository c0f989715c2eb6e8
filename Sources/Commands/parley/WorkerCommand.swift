import ArgumentParser
import Glibc
import Logging
import Metrics
import Telemetry
import Worker

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Consumes jobs until SIGTERM or SIGINT, then drains and exits 0.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        // Until the worker listens to signals itself: nothing has been taken yet that would have to be drained.
        for number in [SIGTERM, SIGINT] { signal(number) { _ in _exit(ExitStatus.done.rawValue) } }
        let registry = MetricsRegistry(version: parleyVersion)
        MetricsSystem.bootstrap(registry)
        let settings = try await common.load(quiet: false)
        let logger = Logger(label: "parley")
        for oddity in common.oddities(settings) { logger.warning("\(oddity)") }
        try await runWorker(settings, registry: registry, logger: logger)
    }
}
