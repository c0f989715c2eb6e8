import ArgumentParser
import Logging
import ParleyJSON
import Worker

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Checks the configuration and every server it names.",
        discussion:
            "Exit status: 0 all is well, 2 the configuration is wrong or a server refuses it, 3 a server is not reached."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let settings = try await common.load()
        let logger = Logger(label: "parley")
        var results = common.oddities(settings).map {
            CheckResult(name: "configuration", outcome: .warning, detail: $0)
        }
        let isOdd = !results.isEmpty
        results += await HealthCheck(try Assembly(settings, logger: logger), logger: logger).run()
        let isWell = results.allSatisfy { $0.outcome == .ok || $0.outcome == .warning }
        if output.json {
            var json = JSONWriter()
            json.object {
                $0.member("ok", isWell)
                $0.key("checks")
                $0.array { list in
                    for result in results {
                        list.object {
                            $0.member("name", result.name)
                            $0.member("ok", result.outcome == .ok || result.outcome == .warning)
                            $0.member("outcome", result.outcome.rawValue)
                            $0.member("detail", result.detail)
                        }
                    }
                }
            }
            printLine(json.bytes)
        } else {
            if !isOdd { printLine("configuration  ok") }
            for result in results {
                let name = result.name + String(repeating: " ", count: max(1, 15 - result.name.count))
                printLine("\(name)\(result.outcome.rawValue)  \(oneLine(result.detail))")
            }
        }
        // What is wrong stays wrong when the absent one is back.
        if results.contains(where: { $0.outcome == .wrong }) { throw CommandFailure(.wrong, "") }
        if results.contains(where: { $0.outcome == .unreachable }) { throw CommandFailure(.unreachable, "") }
    }
}
