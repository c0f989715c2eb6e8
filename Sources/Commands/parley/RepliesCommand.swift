import ArgumentParser
import ParleyClient
import ParleyJSON
import ParleyPrimitives
import ParleySettings

struct RepliesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replies", abstract: "Prints replies from a queue as JSON Lines, until interrupted.",
        discussion: "The queue is declared durable when it does not exist. A reply leaves the queue once it is printed."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Argument(help: "The reply queue.") var queue: String
    @Option(name: [.long, .customShort("n")], help: "Ends after so many messages.") var count: Int?
    @Option(help: "Ends with status 1 when nothing came for so long.") var timeout: String?

    func run() async throws {
        guard (1...255).contains(queue.utf8.count) else {
            throw CommandFailure(.wrong, "QUEUE \"\(queue)\": a queue's name has 1 to 255 bytes")
        }
        if let count, count < 1 { throw CommandFailure(.wrong, "--count \(count): 1 or more is allowed") }
        let patience = try timeout.map { text in
            guard let duration = Quantity.duration(text) else {
                throw CommandFailure(.wrong, "--timeout \(text): a duration such as 30s or 10m is needed")
            }
            return duration
        }
        let servers = try await common.servers()
        if servers.queues.names.contains(queue) {
            throw CommandFailure(
                .wrong,
                "QUEUE \(queue): holds jobs, not replies; printing would take them away. parley status and parley dead look"
            )
        }
        let client = try await common.connect(to: servers)
        var left = count ?? Int.max
        let replies = try await client.subscribe(to: queue)
        while left > 0 {
            guard let batch = try await replies.next(atMost: min(left, 256), within: patience) else {
                throw CommandFailure(.failed, "no reply within \(timeout ?? "")")
            }
            for message in batch {
                let line = Self.line(message.body)
                printLine(output.json ? line : VisibleText.ofJSON(line))
            }
            await replies.acknowledge(batch)
            left -= batch.count
        }
        await replies.close()
        await client.close()
    }

    /// The message on one line. What is no JSON, and so no reply of a worker's, is a string in a member `raw`.
    private static func line(_ body: [UInt8]) -> [UInt8] {
        var json = JSONWriter(capacity: body.count + 16)
        guard let document = try? JSONDocument(body) else {
            json.object { $0.member("raw", String(decoding: body, as: UTF8.self)) }
            return json.bytes
        }
        guard body.contains(UInt8(ascii: "\n")) || body.contains(UInt8(ascii: "\r")) else { return body }
        json.value(document.root)
        return json.bytes
    }
}
