import ParleyJSON
import Testing

@Suite struct JSONWriterTests {
    @Test func writesCompactJSON() {
        var writer = JSONWriter()
        writer.object {
            $0.member("a", "x\"\\\n\u{1}中")
            $0.member("none", nil as String?)
            $0.member("n", 3)
            $0.key("list")
            $0.array {
                $0.int(1)
                $0.rounded(2.00049)
                $0.double(0.5)
                $0.null()
                $0.bool(true)
                $0.object { _ in }
            }
            $0.member("raw", raw: Array(#"{"k":[1]}"#.utf8))
        }
        #expect(
            String(decoding: writer.bytes, as: UTF8.self)
                == #"{"a":"x\"\\\n\u0001中","n":3,"list":[1,2,0.5,null,true,{}],"raw":{"k":[1]}}"#)
    }

    @Test func integersAreWrittenWholeHoweverLarge() {
        var json = JSONWriter()
        json.array { for number in [0, -1, 9, 10, -305, .max, .min] { $0.int(number) } }
        let text = "[0,-1,9,10,-305,9223372036854775807,-9223372036854775808]"
        #expect(String(decoding: json.bytes, as: UTF8.self) == text)
    }

    @Test func whatIsWrittenReadsBack() throws {
        let text = String(String.UnicodeScalarView((0...0x2FF).compactMap(UnicodeScalar.init)))
        var writer = JSONWriter()
        writer.string(text)
        #expect(try JSONDocument(writer.bytes).root.string == text)
    }

    @Test func numbersThatJSONCannotHoldBecomeNull() {
        var writer = JSONWriter()
        writer.array {
            $0.double(.nan)
            $0.double(.infinity)
            $0.float(-.infinity)
        }
        #expect(String(decoding: writer.bytes, as: UTF8.self) == "[null,null,null]")
    }
}
