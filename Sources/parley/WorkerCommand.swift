import ArgumentParser
import Logging
import Metrics
import Telemetry
import Worker

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Consumes jobs until SIGTERM or SIGINT, then drains and exits 0.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let registry = MetricsRegistry(version: parleyVersion)
        MetricsSystem.bootstrap(registry)
        let settings = try await common.load(quiet: false)
        let logger = Logger(label: "parley")
        for oddity in common.oddities { logger.warning("\(oddity)") }
        try await runWorker(settings, registry: registry, logger: logger)
    }
}
