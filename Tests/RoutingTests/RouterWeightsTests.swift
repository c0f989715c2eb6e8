import ParleyDigest
import Testing

@testable import Routing

@Suite struct RouterWeightsTests {
    @Test func builtinWeightsAreTheFileInConfig() throws {
        let file = try bytes(of: "config/routing/weights")
        #expect(RouterWeights.builtinBytes == file)
        #expect(file.count < 200 << 10)
        let weights = try RouterWeights(bytes: file)
        #expect(weights.agents == ["aftersale", "logistics", "presale"])
        #expect(weights.version == SHA256.hex(of: file)?.prefix(16).description)
    }

    @Test func everyBitOfAFileIsGuarded() throws {
        let good = RouterWeights.builtinBytes
        for place in [0, 7, 8, 9, 10, 11, 40, 60, 1000, good.count / 2, good.count - 33, good.count - 1] {
            var bytes = good
            bytes[place] ^= 0x10
            #expect(throws: RouterWeights.Malformed.self, "byte \(place)") { try RouterWeights(bytes: bytes) }
        }
    }

    @Test func whatIsNoFileOfWeightsIsRefusedInWords() {
        let good = RouterWeights.builtinBytes
        #expect(refusal([]) == "no weights of a router; scripts/train-router makes them")
        #expect(refusal(Array("agents: shop".utf8)) == "no weights of a router; scripts/train-router makes them")
        #expect(refusal(Array("PARLEYR0".utf8) + good.dropFirst(8))?.hasPrefix("made by another version") == true)
        #expect(refusal(Array(good.dropLast()))?.hasSuffix("it was cut short or added to") == true)
        #expect(refusal(good + [0])?.hasSuffix("it was cut short or added to") == true)
        #expect(refusal(Array(good.prefix(20)))?.hasSuffix("it was cut short or added to") == true)
        #expect(refusal(sealed(good) { $0[8] = 255 })?.hasPrefix("255 bits") == true)
        #expect(refusal(sealed(good) { $0[9] = 0 })?.contains("0 agents") == true)
        #expect(refusal(sealed(good) { $0[11] = 0x0A }) == "its agents have no proper names")
        #expect(
            refusal(sealed(good) { $0.replaceSubrange(firstScale..<firstScale + 4, with: [0, 0, 0xC0, 0x7F]) })
                == "a number in it is none")
    }

    @Test func noiseIsNeverACrash() {
        var generator = SystemRandomNumberGenerator()
        for length in 0..<300 {
            let noise = (0..<length).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            _ = refusal(noise)
            _ = refusal(RouterWeights.magic + noise)
        }
    }

    /// Behind the three names.
    private var firstScale: Int { 10 + "aftersale".count + "logistics".count + "presale".count + 3 }

    private func refusal(_ bytes: [UInt8]) -> String? {
        do {
            _ = try RouterWeights(bytes: bytes)
            return nil
        } catch { return "\(error)" }
    }

    /// Changed, with a digest that fits.
    private func sealed(_ bytes: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var body = Array(bytes.dropLast(32))
        change(&body)
        return body + (SHA256.digest(of: body) ?? [])
    }
}
