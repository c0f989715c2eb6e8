import ParleyDigest
import Testing

@testable import Routing

/// A router that knows one sequence, made by hand: two agents, so that half of each row's last byte is empty.
@Suite struct SmallRouterTests {
    private let text = "zz"
    private let hash: UInt32

    init() throws {
        var hashes: [UInt32] = []
        _ = TextFeatures(text).forEachHash { hashes.append($0) }
        hash = try #require(hashes.max())
    }

    /// - Parameter steps: how many slots behind its own the sequence lies.
    private func weights(steps: Int, check: UInt8? = nil) throws -> RouterWeights {
        var checks = [UInt8](repeating: 0, count: 256)
        var rows = [UInt8](repeating: 0, count: 512)
        let slot = (Int(hash >> 24) + steps) & 255
        checks[slot] = check ?? max(UInt8(truncatingIfNeeded: hash), 1)
        rows[slot * 2] = 0x39  // need -7, first agent 3
        rows[slot * 2 + 1] = 0x0D  // second agent -3
        var bytes = RouterWeights.magic + [8, 2, 1, UInt8(ascii: "a"), 3] + Array("b-c".utf8)
        for number: Float in [1, 0, 2, 0.5, 1, 0, -1] {
            withUnsafeBytes(of: number.bitPattern.littleEndian) { bytes += $0 }
        }
        bytes += checks + rows
        return try RouterWeights(bytes: bytes + (SHA256.digest(of: bytes) ?? []))
    }

    private var size: Double {
        let features = TextFeatures(text)
        return Double(features.forEachHash { _ in }).squareRoot()
    }

    @Test(arguments: 0...3) func aSequenceIsFoundInItsSlotsAndItsWeightsHaveSigns(_ steps: Int) throws {
        let router = Router(try weights(steps: steps))
        #expect(router.agents == ["a", "b-c"])
        #expect(router.scores(of: text) == .init(need: -7 / size, agents: [6 / size + 0.5, -3 / size]))
        #expect(router.decision(query: text) == .init(agent: nil, needsPassages: false))
        #expect(router.decision(query: "other words") == .init(agent: "a", needsPassages: true))
    }

    @Test func anotherSequencesSlotIsNotItsOwn() throws {
        let other = UInt8(truncatingIfNeeded: hash) ^ 0x80 | 1
        for weights in [try weights(steps: 4), try weights(steps: 0, check: other)] {
            #expect(Router(weights).scores(of: text) == .init(need: 0, agents: [0.5, 0]))
        }
    }
}
