import Glibc
import Logging
import ParleyJSON
import Testing

@testable import Telemetry

/// A pipe, and what has been read from it.
private struct Pipe {
    let reading: Int32
    let writing: Int32

    init() throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        (reading, writing) = (ends[0], ends[1])
    }

    /// Lines up to and without the one that `isLast`.
    func lines(until isLast: (JSONElement) -> Bool) throws -> [JSONElement] {
        var lines: [JSONElement] = []
        var rest: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(reading, &buffer, buffer.count)
            try #require(count > 0)
            rest += buffer[..<count]
            while let end = rest.firstIndex(of: 10) {
                let line = try JSONDocument(Array(rest[..<end])).root
                rest.removeFirst(end + 1)
                if isLast(line) { return lines }
                lines.append(line)
            }
        }
    }

    /// Ends the thread that writes, which may be waiting for a reader, before its descriptor is given back.
    func close(_ style: LineStyle) {
        Glibc.close(reading)
        style.close()
        style.flush(within: .seconds(10))
        Glibc.close(writing)
    }
}

/// What was dropped is counted for the whole process: one after the other.
@Suite(.serialized) struct LogQueueTests {
    private func logger(_ style: LineStyle) -> Logger {
        Logger(label: "test") { LineLogHandler(label: $0, level: .info, style: style) }
    }

    @Test func linesAreWrittenInOrder() throws {
        let pipe = try Pipe()
        let style = try LineStyle(.json, descriptor: pipe.writing).queued()
        defer { pipe.close(style) }
        let logger = logger(style)
        for number in 0..<200 { logger.info("line \(number)") }
        logger.info("end")
        let lines = try pipe.lines { $0["message"]?.string == "end" }
        #expect(lines.map { $0["message"]?.string } == (0..<200).map { "line \($0)" })
    }

    /// Whoever logs goes on; what had no room is counted, and said when there is a reader again.
    @Test func aPipeNobodyReadsStopsNobody() throws {
        let pipe = try Pipe()
        let style = try LineStyle(.json, descriptor: pipe.writing).queued(capacity: 100_000)
        defer { pipe.close(style) }
        let logger = logger(style)
        let before = LogQueue.dropped
        let text = String(repeating: "x", count: 1000)
        // Many times what the pipe (64 KiB) and the queue hold.
        for number in 0..<2000 { logger.info("\(number)", metadata: ["text": "\(text)"]) }
        let dropped = LogQueue.dropped - before
        #expect(dropped > 1500)
        let lines = try pipe.lines { $0["lines"] != nil }
        // All up to the first that had no room.
        #expect(lines.map { $0["message"]?.string } == (0..<lines.count).map { "\($0)" })
        #expect(lines.count + dropped == 2000)
        logger.info("flows again")
        let between = try pipe.lines { $0["message"]?.string == "flows again" }
        #expect(between.isEmpty)
    }

    @Test func theLineForThoseDroppedSaysHowMany() throws {
        let pipe = try Pipe()
        let style = try LineStyle(.json, descriptor: pipe.writing).queued(capacity: 100_000)
        defer { pipe.close(style) }
        let logger = logger(style)
        let text = String(repeating: "x", count: 1000)
        let before = LogQueue.dropped
        for number in 0..<500 { logger.info("\(number)", metadata: ["text": "\(text)"]) }
        let dropped = LogQueue.dropped - before
        var said: JSONElement?
        _ = try pipe.lines { line in
            said = line
            return line["lines"] != nil
        }
        #expect(said?["lines"]?.int == dropped)
        #expect(said?["level"]?.string == "warning")
    }

    @Test func aReaderThatIsGoneStopsNobody() throws {
        let pipe = try Pipe()
        let style = try LineStyle(.json, descriptor: pipe.writing).queued()
        defer {
            style.close()
            close(pipe.writing)
        }
        close(pipe.reading)
        let logger = logger(style)
        let before = LogQueue.dropped
        for _ in 0..<10 { logger.info("lost") }
        style.flush(within: .seconds(10))
        #expect(LogQueue.dropped >= before + 10)
    }

    /// What waits for the end of a process does not wait for ever.
    @Test func flushingWaitsNoLongerThanItMay() throws {
        let pipe = try Pipe()
        let style = try LineStyle(.json, descriptor: pipe.writing).queued()
        defer { pipe.close(style) }
        let logger = logger(style)
        let text = String(repeating: "x", count: 4000)
        for _ in 0..<50 { logger.info("stuck", metadata: ["text": "\(text)"]) }
        style.flush(within: .milliseconds(50))
        let lines = try pipe.lines { _ in true }
        #expect(lines.isEmpty)
    }

    @Test func theLastLinesOfAProcessAreWritten() async throws {
        let result = await #expect(processExitsWith: .exitCode(3), observing: [\.standardErrorContent]) {
            bootstrapLogging(level: .info, format: .json, writer: .thread)
            let logger = Logger(label: "test")
            for number in 0..<300 { logger.info("line \(number)") }
            exit(3)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.split(separator: "\n").filter { $0.contains("\"line ") }.count == 300)
    }

    @Test func whatIsPrintedStandsBehindWhatWasLogged() async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            bootstrapLogging(level: .info, format: .json, writer: .thread)
            let logger = Logger(label: "test")
            for number in 0..<300 { logger.info("line \(number)") }
            flushLog()
            let text = Array("printed\n".utf8)
            _ = write(STDERR_FILENO, text, text.count)
            exit(0)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.hasSuffix("printed\n"))
        #expect(text.contains("\"line 299\""))
    }

    @Test func droppedLinesAreAMetric() {
        #expect(
            MetricsRegistry(version: "1").render().contains(
                "# TYPE parley_log_lines_dropped_total counter\nparley_log_lines_dropped_total "))
    }
}
