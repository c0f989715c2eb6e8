import Foundation
import Testing

@testable import ParleyJSON

private func parse(_ text: String) throws -> JSONElement { try JSONDocument(Array(text.utf8)).root }

@Suite struct JSONDocumentTests {
    @Test func readsEveryKindOfValue() throws {
        let root = try parse(#" {"a":[1,-2.5e3,true,false,null,"x"],"b":{"c":"d"},"e":""} "#)
        let a = try #require(root["a"])
        #expect(a.count == 6)
        #expect(a.elements[0].int == 1)
        #expect(a.elements[1].double == -2500)
        #expect(a.elements[2].bool == true)
        #expect(a.elements[4].isNull)
        #expect(root["b"]?["c"]?.string == "d")
        #expect(root["e"]?.string == "")
        #expect(root["missing"] == nil)
        #expect(root.members.map(\.name) == ["a", "b", "e"])
        #expect(String(decoding: root["b"]!.raw, as: UTF8.self) == #"{"c":"d"}"#)
    }

    @Test func resolvesEscapes() throws {
        #expect(try parse(#""a\n\t\"\\\/A😀中""#).string == "a\n\t\"\\/A😀中")
        #expect(try parse(#""\ud800x""#).string == "\u{FFFD}x")
        #expect(try parse(#"{"\u0061":1}"#)["a"]?.int == 1)
    }

    @Test func theLastMemberOfANameCounts() throws { #expect(try parse(#"{"a":1,"a":2}"#)["a"]?.int == 2) }

    @Test(arguments: [
        "", " ", "{", "[1,", "[1 2]", "{\"a\"}", "{a:1}", "[1,]", "{\"a\":1,}", "nul", "NaN", "Infinity", "-", "01",
        "1.", "1e",
        "\"", "\"\\x\"", "\"\\u12\"", "\"\u{1}\"", "1 2", "\u{FEFF}{}", "'a'", "]", "{]", "[}",
    ])
    func refusesWhatIsNotJSON(_ text: String) { #expect(throws: JSONError.self) { try parse(text) } }

    @Test func refusesInvalidUTF8AndNULBytes() {
        for bytes: [UInt8] in [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xE4, 0x22],
            [0x22, 0, 0x22],
        ] {
            #expect(throws: JSONError.self) { try JSONDocument(bytes) }
        }
    }

    @Test func nestingIsBoundedAndCostsNoStack() throws {
        #expect(throws: JSONError("nesting deeper than 64", at: 64)) {
            try parse(String(repeating: "[", count: 10_000))
        }
        let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
        #expect(try JSONDocument(Array(deep.utf8), maxDepth: 100_000).root.count == 1)
    }

    @Test(arguments: [
        "0", "-0", "1", "0.1", "123456789.125", "1e22", "1e23", "9007199254740993", "3.141592653589793", "1e-5",
        "5e-324",
        "1.7976931348623157e308", "0.000001", "12345678901234567890123", "-0.30000000000000004",
        "2.2250738585072014e-308",
    ])
    func numbersReadAsFoundationReadsThem(_ text: String) throws { #expect(try parse(text).double == Double(text)) }

    @Test(arguments: 0...20) func whateverIsNoDigitEndsANumber(_ count: Int) {
        let digits = Array(repeating: UInt8(ascii: "7"), count: count)
        for byte in UInt8.min...UInt8.max where !"0123456789.eE-".utf8.contains(byte) {
            for tail in [[], [byte, 0x37, 0x37, 0x37, 0x37, 0x37, 0x37, 0x37, 0x37]] {
                let end = (digits + tail).withUnsafeBufferPointer { NumberText.end(in: $0, from: 0) }
                #expect(end.0 == count && end.isNumber == (count > 0), "\(byte) behind \(count) digits")
            }
        }
    }

    @Test func membersAreFoundByTheirWholeName() throws {
        let root = try parse(#"{"":1,"ab":2,"a":3,"\u0061b":4,"ab":5,"ax":6}"#)
        #expect(root[""]?.int == 1 && root["a"]?.int == 3 && root["ab"]?.int == 5 && root["ax"]?.int == 6)
        #expect(root["abc"] == nil && root["b"] == nil)
        #expect(try parse(#"{"ab":2,"\u0061b":4}"#)["ab"]?.int == 4)
    }

    @Test func hugeNumbersAreInfiniteAndNotIntegers() throws {
        #expect(try parse("1e999").double == .infinity)
        #expect(try parse("1e999").int == nil)
        #expect(try parse("1.5").int == nil)
        #expect(try parse("1e3").int == 1000)
        #expect(try parse("9223372036854775808").int == nil)
    }

    @Test func arraysOfNumbersReadAsFloats() throws {
        #expect(try parse("[1,2.5,-3e1]").floats == [1, 2.5, -30])
        #expect(try parse("[1,\"2\"]").floats == nil)
        #expect(try parse("[]").floats == [])
    }

    /// Long ones have no index of their numbers: whoever looks must not notice.
    @Test(arguments: [1, 31, 32, 33, 500], [",", " , ", ",\n\t"])
    func aLongArrayOfNumbersReadsAsAShortOne(_ count: Int, _ separator: String) throws {
        let numbers = (0..<count).map { $0 % 2 == 0 ? "\($0)" : "-0.\($0)e-2" }
        let document = try parse("{\"a\":[ \(numbers.joined(separator: separator)) ],\"b\":[1]}")
        let array = try #require(document["a"])
        #expect(array.kind == .array && array.count == count && array.isNumbers)
        #expect(array.elements.map { String(decoding: $0.raw, as: UTF8.self) } == numbers)
        #expect(array.floats == numbers.compactMap { Float($0) })
        #expect(document["b"]?.floats == [1])
        var writer = JSONWriter()
        writer.value(array)
        #expect(writer.bytes == Array("[\(numbers.joined(separator: ","))]".utf8))
    }

    @Test(arguments: ["01", "1.", "-", "1e", "1e+", ".5", "+1", "1,", "1 2", "", "NaN", "1]", "\"x\",", "[1],x"])
    func aLongArrayWithAFaultIsRefusedLikeAShortOne(_ fault: String) {
        for count in [1, 40] {
            let text = "[\(String(repeating: "7,", count: count))\(fault)]"
            #expect { _ = try parse(text) } throws: { ($0 as? JSONError).map { $0.offset > 2 * count - 1 } ?? false }
        }
    }

    @Test func whatIsNotOnlyNumbersIsSo() throws {
        let many = String(repeating: "1,", count: 40)
        for other in ["\"x\"", "[1]", "{}", "null", "true"] {
            let array = try parse("[\(many)\(other)]")
            #expect(!array.isNumbers && array.floats == nil && array.count == 41 && array.elements.count == 41)
        }
        #expect(try parse("[\(many)[\(many)1]]").elements.last?.count == 41)
        #expect(try parse("3").isNumbers == false)
    }

    @Test func plainTextEndsWhereALoopOverItsBytesSays() {
        var random = SplitMix(state: 7)
        let special: [UInt8] = [0x22, 0x5C, 0x1F, 0x00, 0x80, 0xFF, 0x20, 0x21, 0x23, 0x5B, 0x5D, 0x7F, 0x41]
        for _ in 0..<20_000 {
            let bytes = (0..<Int(random.next() % 40)).map { _ in
                random.next() % 8 == 0 ? special[Int(random.next() % UInt64(special.count))] : 0x61
            }
            let start = bytes.isEmpty ? 0 : Int(random.next() % UInt64(bytes.count))
            for isASCII in [false, true] {
                let expected = bytes[start...].firstIndex {
                    $0 < 0x20 || $0 == 0x22 || $0 == 0x5C || isASCII && $0 >= 0x80
                }
                let end = bytes.withUnsafeBufferPointer { PlainText.end(in: $0, from: start, isASCII: isASCII) }
                #expect(end == expected ?? bytes.count)
            }
        }
    }

    @Test func agreesWithFoundationOnMutatedTexts() throws {
        var random = SplitMix(state: 42)
        let seed = Array(#"{"a":[1,-2.5e3,true,null,"x\né中"],"b":{"c":"d","e":[[],{}]}}"#.utf8)
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<Int(random.next() % 3 + 1) {
                let at = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: at)
                default: bytes.insert(bytes[Int(random.next() % UInt64(bytes.count))], at: at)
                }
            }
            let ours = (try? JSONDocument(bytes)) != nil
            let theirs = (try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])) != nil
            if ours { accepted += 1 }
            // Foundation also takes UTF-16, byte order marks and lone surrogates differently: what we take, it takes.
            if ours, !theirs, !bytes.contains(UInt8(ascii: "u")) {
                Issue.record("accepted what Foundation refuses: \(String(decoding: bytes, as: UTF8.self))")
            }
        }
        #expect(accepted > 1000)
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
