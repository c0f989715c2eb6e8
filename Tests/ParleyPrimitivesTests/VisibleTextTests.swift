import ParleyPrimitives
import Testing

@Suite struct VisibleTextTests {
    @Test(arguments: [
        ("plain text", "plain text"), ("哪里可以退货？", "哪里可以退货？"), ("two\nlines\there", "two\nlines\there"),
        ("dos\r\nline", "dos\nline"), ("over\rwritten", #"over\rwritten"#),
        ("\u{1B}[31mred\u{1B}]0;title\u{07}", #"\u{1B}[31mred\u{1B}]0;title\u{7}"#),
        ("\u{9B}31m\u{7F}", #"\u{9B}31m\u{7F}"#), ("safe\u{202E}exe.txt", #"safe\u{202E}exe.txt"#),
        ("a\u{2066}b\u{200F}c\u{061C}", #"a\u{2066}b\u{200F}c\u{61C}"#), ("x\u{2028}y", #"x\u{2028}y"#),
        ("\u{FEFF}\u{E0041}", #"\u{FEFF}\u{E0041}"#), ("نمی\u{200C}خواهم 👩\u{200D}🔧", "نمی\u{200C}خواهم 👩\u{200D}🔧"),
        ("\0", #"\u{0}"#),
    ])
    func whatSteersATerminalIsShown(text: String, shown: String) {
        #expect(VisibleText.of(text) == shown)
    }

    @Test func whatBelongsOnOneLineMakesNoSecond() {
        #expect(VisibleText.of("a\nb\r\n\tc", lines: false) == #"a\nb\r\n\tc"#)
    }

    @Test func nothingOfEveryScalarIsLeftThatSteers() {
        var scalars = String.UnicodeScalarView()
        for value in UInt32(0)...0x10FFFF { if let scalar = Unicode.Scalar(value) { scalars.append(scalar) } }
        for scalar in VisibleText.of(String(scalars)).unicodeScalars where scalar != "\n" && scalar != "\t" {
            if VisibleText.steers(scalar) { Issue.record("U+\(String(scalar.value, radix: 16)) is left") }
        }
    }

    @Test(arguments: [
        (#"{"a": "b"}"#, #"{"a": "b"}"#), ("{\"a\":\"\u{9B}31m\u{7F}\"}", #"{"a":"\u009b31m\u007f"}"#),
        ("[\"中\u{202E}\",\n\"\u{E0041}\"]", "[\"中\\u202e\",\n\"\\udb40\\udc41\"]"),
    ])
    func jsonStaysJSONAndSaysTheSame(json: String, shown: String) {
        #expect(String(decoding: VisibleText.ofJSON(Array(json.utf8)), as: UTF8.self) == shown)
    }
}
