import ArgumentParser
import Operations
import ParleyJSON
import ParleyRabbitMQ
import Synchronization

struct DeadShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Prints the dead letters of an id or a digest whole: properties, headers, body.",
        discussion: "The body holds what a user asked. Exit status 1 when there is none.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Argument(help: "The job's id.") var id: String?
    @Option(help: "Instead of an id: the body's digest, as dead list --each shows it.") var digest: String?

    func run() async throws {
        guard (id == nil) != (digest == nil) else {
            throw CommandFailure(.wrong, "an id or --digest is needed, and only one")
        }
        if id == "" { throw CommandFailure(.wrong, "ID \"\": an id is needed") }
        var filter = LetterFilter()
        if let id { filter.ids = [id] }
        if let digest { filter.digests = [try FilterOptions.digest(digest)] }
        let context = try await common.operatorContext()
        let letters = context.letters
        await context.audit.record("show", "started", filters: filter.description, isLook: true)
        let found = Mutex(0)
        let progress = SharedProgress("letters looked at")
        let look = try await letters.look(filter) {
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
        let shown = found.withLock { $0 }
        await context.audit.record(
            "show", Interruption.isRequested ? "interrupted" : "done", filters: filter.description,
            counts: [("shown", shown)], isLook: true)
        if Interruption.isRequested { throw CommandFailure(.interrupted, "") }
        guard shown > 0 else {
            if look.hadCompany { tellOfCompany() }
            throw CommandFailure(
                .failed,
                "no dead letter with the \(id == nil ? "digest" : "id") \(oneLine(id ?? digest ?? "")) is in \(letters.queue)"
            )
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
