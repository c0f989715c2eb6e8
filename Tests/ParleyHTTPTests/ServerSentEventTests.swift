import ParleyHTTP
import Testing

@Suite("Server-sent events") struct ServerSentEventTests {
    private func parse(_ text: String, limit: Int = 1 << 20) -> [ServerSentEvent] {
        var parser = ServerSentEventParser(maxEventBytes: limit)
        return parser.feed(text.utf8)
    }

    @Test func fieldsLinesAndComments() {
        let text =
            "\u{FEFF}: hello\nevent: add\ndata: 73857293\n\nevent:\rdata:a\rdata\rdata:  b\r\rid: 7\r\ndata: x\r\n\r\n"
            + "retry: 5\nunknown: y\n\ndata: z\nid\n\n"
        #expect(
            parse(text) == [
                ServerSentEvent(event: "add", data: "73857293"),
                ServerSentEvent(data: "a\n\n b"),
                ServerSentEvent(data: "x", id: "7"),
                ServerSentEvent(data: "z", id: ""),
            ])
    }

    @Test func eventsWithoutDataAreNotEvents() {
        #expect(parse("event: ping\n\n: c\n\nid: 3\n\n").isEmpty)
        #expect(parse("data\n\n") == [ServerSentEvent(data: "")])
    }

    @Test func anyCuttingIntoChunksGivesTheSameEvents() {
        var random = SystemRandomNumberGenerator()
        let text = "\u{FEFF}data: 你好\r\ndata: two\r\n\r\n: ping\r\revent: e\rdata: 3\r\rid: 9\ndata: {\"a\":1}\n\n"
        let bytes = Array(text.utf8)
        let whole = parse(text)
        #expect(whole.map(\.data) == ["你好\ntwo", "3", "{\"a\":1}"])
        for _ in 0..<500 {
            var parser = ServerSentEventParser()
            var events: [ServerSentEvent] = []
            var start = 0
            while start < bytes.count {
                let end = min(bytes.count, start + Int.random(in: 1...9, using: &random))
                events += parser.feed(Array(bytes[start..<end]))
                start = end
            }
            #expect(events == whole)
        }
    }

    @Test func theEndGivesWhatHadNoBlankLine() {
        var parser = ServerSentEventParser()
        #expect(parser.feed("data: [DONE]".utf8).isEmpty)
        #expect(parser.finish() == [ServerSentEvent(data: "[DONE]")])
        #expect(parser.finish().isEmpty)
    }

    @Test func withJSONWhatServersMakeOfTheFormatIsUnderstood() {
        let text = """
            data: {"a":1}
            data: {"b":
            data: 2}
            data: [DONE]
            error: {"code":500}

            {"error":"proxied"}
            event: late
            data:{"c":3}


            """
        for ending in ["\n", "\r\n", "\r"] {
            let bytes = Array(text.replacing("\n", with: ending).utf8)
            for size in 1...bytes.count {
                var parser = ServerSentEventParser(carriesJSON: true)
                var events: [ServerSentEvent] = []
                for start in stride(from: 0, to: bytes.count, by: size) {
                    events += parser.feed(bytes[start..<min(bytes.count, start + size)])
                }
                #expect(
                    events == [
                        ServerSentEvent(data: "{\"a\":1}"), ServerSentEvent(data: "{\"b\":\n2}"),
                        ServerSentEvent(data: "[DONE]"), ServerSentEvent(event: "error", data: "{\"code\":500}"),
                        ServerSentEvent(data: "{\"error\":\"proxied\"}"),
                        ServerSentEvent(event: "late", data: "{\"c\":3}"),
                    ])
            }
        }
    }

    @Test func oversizedEventsAreDroppedAndTheNextIsRead() {
        for chunk in [1, 7, 1000] {
            var parser = ServerSentEventParser(maxEventBytes: 64)
            let text = "data: a\n\ndata: \(String(repeating: "x", count: 200))\ndata: y\n\ndata: b\n\n"
            let bytes = Array(text.utf8)
            var events: [ServerSentEvent] = []
            for start in stride(from: 0, to: bytes.count, by: chunk) {
                events += parser.feed(bytes[start..<min(bytes.count, start + chunk)])
            }
            #expect(events.map(\.data) == ["a", "b"])
            #expect(parser.droppedOversized == 1)
        }
    }
}
