import ArgumentParser
import Operations
import ParleyJSON
import ParleyRabbitMQ
import Synchronization

struct DeadShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Prints the dead letters of an id whole: properties, headers, body.",
        discussion: "The body holds what a user asked. Exit status 1 when there is none.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Argument(help: "The job's id.") var id: String

    func run() async throws {
        guard !id.isEmpty else { throw CommandFailure(.wrong, "ID \"\": an id is needed") }
        var filter = LetterFilter()
        filter.ids = [id]
        let letters = try await common.operatorContext().letters
        let found = Mutex(0)
        let progress = SharedProgress("letters looked at")
        try await letters.look(filter) {
            progress.show($0, of: $1)
        } visit: { letter in
            progress.end()
            if output.json {
                var json = JSONWriter()
                letter.writeWhole(to: &json)
                printLine(json.bytes)
            } else {
                show(letter)
            }
            found.withLock { $0 += 1 }
            return true
        }
        progress.end()
        if Interruption.isRequested { throw CommandFailure(.interrupted, "") }
        guard found.withLock({ $0 > 0 }) else {
            throw CommandFailure(.failed, "no dead letter with the id \(id) is in \(letters.queue)")
        }
    }

    private func show(_ letter: DeadLetter) {
        printLine("properties")
        for (name, value) in letter.properties { printLine("  \(name): \(oneLine(value))") }
        printLine("headers")
        for (name, value) in letter.delivery.properties.headers.pairs {
            var json = JSONWriter()
            value.write(to: &json)
            printLine("  \(oneLine(name)): \(oneLine(value.string ?? String(decoding: json.bytes, as: UTF8.self)))")
        }
        printLine("body (\(letter.delivery.body.count) bytes)")
        printLine(letter.text + "\n")
    }
}
