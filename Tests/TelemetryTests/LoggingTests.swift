import Glibc
import Logging
import ParleyJSON
import Testing

@testable import Telemetry

@Suite struct LoggingTests {
    private func line(
        _ message: String = "window taken", level: Logger.Level = .info, metadata: Logger.Metadata = [:]
    ) -> LogLine {
        LogLine(
            time: timespec(tv_sec: 1_795_384_830, tv_nsec: 42_999_999), level: level, label: "parley.worker",
            message: message, metadata: metadata)
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func aJSONLineHasItsMetadataBesideTheMessage() {
        let line = line(
            metadata: [
                "jobs": .stringConvertible(64), "queue": "chat.jobs", "ok": .stringConvertible(true),
                "ms": .stringConvertible(1.5), "ids": ["a", "b"], "span": ["trace": "x\"y"],
            ])
        #expect(
            text(line.json())
                == #"{"time":"2026-11-22T22:00:30.042Z","level":"info","message":"window taken","label":"parley.worker","#
                + #""ids":["a","b"],"jobs":64,"ms":1.5,"ok":true,"queue":"chat.jobs","span":{"trace":"x\"y"}}"# + "\n")
    }

    @Test func metadataCannotReplaceTheFixedMembers() throws {
        let document = try JSONDocument(line(metadata: ["message": "forged", "level": "critical"]).json())
        #expect(document.root["message"]?.string == "window taken")
        #expect(document.root["metadata.message"]?.string == "forged")
        #expect(document.root["metadata.level"]?.string == "critical")
    }

    @Test(arguments: ["plain ", "\u{1}\"\\", "中🙂"])
    func aLineIsBoundedAndStaysJSON(unit: String) throws {
        let huge = String(repeating: unit, count: 100_000)
        var metadata: Logger.Metadata = ["nested": ["list": .array(Array(repeating: .string(huge), count: 50))]]
        for index in 0..<50 { metadata["k\(index)" + huge.prefix(500)] = .string(huge) }
        let line = line(huge, metadata: metadata)
        let json = line.json()
        #expect(json.count <= LogLine.maximumBytes)
        #expect(try JSONDocument(json).root["truncated"]?.bool == true)
        #expect(!json.dropLast().contains(UInt8(ascii: "\n")))
        #expect(line.text(colours: true, isTerminal: true).count <= LogLine.maximumBytes)
    }

    @Test func aTextLineAlignsItsMetadata() {
        let line = line(level: .warning, metadata: ["b": "two words", "a": "1"])
        #expect(
            text(line.text(colours: false, isTerminal: false))
                == "2026-11-22T22:00:30.042Z WARNING  window taken" + String(repeating: " ", count: 28)
                + " a=1 b=\"two words\"\n")
        #expect(text(line.text(colours: true, isTerminal: false)).contains("\u{1B}[33mWARNING \u{1B}[0m"))
    }

    @Test func textFromOutsideCannotSteerTheTerminalNorForgeALine() {
        let line = line("a\nb\u{1B}[2J\u{9B}", metadata: ["k": "x\u{202E}\r\ny", "q": "say \"hi\" \\"])
        let text = text(line.text(colours: false, isTerminal: true))
        #expect(text.hasSuffix("\n") && text.filter { $0.isNewline }.count == 1)
        #expect(text.contains(#"a\nb\u{1b}[2J\u{9b}"#))
        #expect(text.contains(#"k="x\u{202e}\r\ny" q="say \"hi\" \\""#))
    }

    @Test func theHandlerWritesALineAndMergesMetadata() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        var logger = Logger(label: "l") { [end = ends[1]] label in
            LineLogHandler(label: label, level: .info, style: LineStyle(.auto, descriptor: end))
        }
        logger[metadataKey: "a"] = "logger"
        logger[metadataKey: "b"] = "logger"
        logger.debug("left out")
        logger.info("written", metadata: ["b": "event"])
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(ends[0], &buffer, buffer.count)
        let document = try JSONDocument(Array(buffer[..<max(0, count)].dropLast()))
        #expect(document.root["message"]?.string == "written")
        #expect(document.root["a"]?.string == "logger")
        #expect(document.root["b"]?.string == "event")
    }

    @Test func aFullPipeDoesNotStopTheProgram() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        try #require(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0)
        let style = LineStyle(.json, descriptor: ends[1])
        for _ in 0..<25 { style.write(line(String(repeating: "x", count: 4000))) }
    }

    @Test func formatsAreReadByName() {
        #expect(LogFormat("auto") == .auto)
        #expect(LogFormat("json") == .json)
        #expect(LogFormat("xml") == nil)
        #expect(LogFormat.allCases.map(\.description) == ["auto", "text", "json"])
    }
}
