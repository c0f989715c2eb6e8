import Glibc
import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// Section 4: what happens to jobs when workers die, and when one id is in work twice.
extension ContractTests {
    @Test func aDeadWorkersJobIsTakenOver() async throws {
        let model = try await ModelServer(delay: .seconds(60))
        let settings = ["model.url": model.url]
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            let id = unique()
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id)
            _ = try await eventually("the call") { model.questions.isEmpty ? nil : true }
            try await worker.stop(SIGKILL)
            model.answer(after: .zero)
            let other = try await Worker.start(queue: worker.queue, settings)
            let reply = try await producer.nextReply()
            #expect(try reply.status == "succeeded")
            #expect(try reply.json["attempts"]?.int == 2)
            #expect(model.questions.count == 2)
            try await other.stop()
        }
    }

    @Test func aJobThatKillsItsWorkersIsGivenUpAndHarmsNobodyElse() async throws {
        let queue = "contract.\(unique())"
        let model = try await ModelServer(delay: .milliseconds(500)) { question, _ in
            if question.contains("poison") { killAll("queue.name=\(queue)") }
            return .answers
        }
        // A supervisor that starts the worker again whenever it dies.
        let supervisor = Task {
            var deaths = 0
            while !Task.isCancelled {
                let worker = try await Worker.start(queue: queue, ["model.url": model.url], ready: false)
                let end = Task { try await worker.process.exitStatus(within: .seconds(120)) }
                let status = try await withTaskCancellationHandler {
                    try await end.value
                } onCancel: {
                    worker.process.signal(SIGTERM)
                }
                if status == 137 { deaths += 1 } else { break }
            }
            return deaths
        }
        let first = Worker(queue: queue, process: try ParleyProcess(["--version"]))
        try await Producer.with { producer in
            _ = try await eventually("the queue") {
                try? await producer.connection.declare(QueueDeclaration(name: queue), passive: true)
            }
            // In the middle: some have had their last chance before it, some wait for theirs when it kills once more.
            for number in 0...10 {
                let query = number == 5 ? "poison" : "harmless \(number)"
                try await producer.publish(#"{"query":"\#(query)"}"#, to: first, id: unique())
            }
            var succeeded = 0
            var lost = 0
            while succeeded + lost < 11 {
                let reply = try await producer.nextReply(within: .seconds(60))
                if try reply.status == "succeeded" {
                    succeeded += 1
                } else {
                    #expect(try reply.errorCode == "worker_lost")
                    lost += 1
                }
            }
            #expect(succeeded == 10)
            #expect(lost == 1)
            let dead = try await producer.next(from: queue + ".dead")
            #expect(dead.header("x-parley-error-code") == "worker_lost")
            #expect(try await producer.isEmpty(queue + ".dead"))
        }
        supervisor.cancel()
        #expect(try await supervisor.value == 3)
    }

    @Test func ofTwoWorkersGivenTheSameIDOneAsksTheModel() async throws {
        let model = try await ModelServer(delay: .milliseconds(500))
        let settings = ["model.url": model.url, "worker.prefetch": "1"]
        let worker = try await Worker.start(settings)
        let other = try await Worker.start(queue: worker.queue, settings)
        try await Producer.with { producer in
            let id = unique()
            for _ in 0..<2 { try await producer.publish(#"{"query":"x"}"#, to: worker, id: id) }
            let first = try await producer.nextReply()
            let second = try await producer.nextReply()
            #expect(first.body == second.body)
            #expect(model.questions.count == 1)
        }
        try await worker.stop()
        try await other.stop()
    }
}

/// Kills every process that has `argument` on its command line.
private func killAll(_ argument: String) {
    guard let directory = opendir("/proc") else {
        Issue.record("/proc cannot be read")
        return
    }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        guard let pid = pid_t(name) else { continue }
        guard let file = fopen("/proc/\(pid)/cmdline", "r") else {
            // Others come and go.
            if errno != ENOENT && errno != ESRCH { Issue.record("/proc/\(pid): \(String(cString: strerror(errno)))") }
            continue
        }
        var line = [UInt8](repeating: 0, count: 16_384)
        let count = fread(&line, 1, line.count, file)
        fclose(file)
        if line[..<count].split(separator: 0).contains(where: { $0.elementsEqual(argument.utf8) }) {
            kill(pid, SIGKILL)
        }
    }
}
