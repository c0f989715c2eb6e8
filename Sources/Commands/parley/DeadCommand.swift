import ArgumentParser

struct DeadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead", abstract: "Looks at dead letters.",
        discussion: """
            While it looks, it holds the letters: others do not see them until it ends, and then they are where they were.
            parley requeue sends them back to be answered.
            """,
        subcommands: [DeadListCommand.self, DeadShowCommand.self, DeadPurgeCommand.self])
}
