import ArgumentParser
import Glibc
import Worker

@main
struct Parley: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parley",
        abstract: "Answers chat jobs from a message queue: retrieval, a language model, results in Redis, replies.",
        version: parleyVersion,
        subcommands: [
            WorkerCommand.self, AskCommand.self, PublishCommand.self, RepliesCommand.self, ResultCommand.self,
            IngestCommand.self, SearchCommand.self, EvaluateCommand.self, DeadCommand.self, RequeueCommand.self,
            RevokeCommand.self,
            DelaysCommand.self, WarmCommand.self, CostsCommand.self, ForgetCommand.self, StatusCommand.self,
            CheckCommand.self,
        ])

    /// Parses, runs, and turns every outcome into the contract's exit status.
    static func main() async {
        signal(SIGPIPE, SIG_IGN)  // a reader that goes away is a failed write, not a death
        do {
            var command = try parseAsRoot()
            if !(command is WorkerCommand) { signal(SIGINT) { _ in _exit(ExitStatus.interrupted.rawValue) } }
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            leave(error)
        }
    }

    private static func leave(_ error: any Error) -> Never {
        if let failure = CommandFailure(error) {
            if !failure.message.isEmpty { printError("parley: \(failure.message)") }
            Glibc.exit(failure.status.rawValue)
        }
        // Help and version are errors to ArgumentParser, with an exit code of success.
        let message = fullMessage(for: error)
        if exitCode(for: error).isSuccess {
            print(message)
            Glibc.exit(0)
        }
        printError(message)
        Glibc.exit(ExitStatus.wrong.rawValue)
    }
}
