import ChatJobs
import Glibc

/// Tells of a question whether passages are needed to answer it, and which agent it is for: a linear classifier over hashed
/// sequences of characters, some microseconds a question.
///
/// The rest is configuration: an agent that the settings do not know is the default one, and a job that names its agent, or
/// says whether to retrieve, is not asked about.
package struct Router: Sendable {
    private let weights: RouterWeights

    package init(_ weights: RouterWeights) { self.weights = weights }

    /// The one that Parley brings along, learnt from `config/routing/questions.jsonl`.
    package static let builtin: Result<Router, RouterWeights.Malformed> = Result { () throws(RouterWeights.Malformed) in
        Router(try RouterWeights(bytes: RouterWeights.builtinBytes))
    }

    /// What the router would have said yesterday is only known of the same version: it belongs into keys of what was kept.
    package var version: String { weights.version }
    /// The agents it can name.
    package var agents: [String] { weights.agents }

    package struct Decision: Sendable, Equatable {
        /// Nil when no passages are needed: the default one answers.
        package var agent: String?
        /// Greetings, thanks, chit-chat, anger without a question, and orders to the model need none.
        package var needsPassages: Bool
    }

    /// What to do with a question. Whether it needs passages it says itself; its agent is that of what it follows up, when it
    /// looks like a follow-up.
    package func decision(query: String, history: [Turn] = []) -> Decision {
        let own = scores(of: query)
        guard own.need >= weights.threshold else { return Decision(agent: nil, needsPassages: false) }
        let whole = searchText(query: query, history: history)
        return Decision(agent: best(whole.map { scores(of: $0) } ?? own), needsPassages: true)
    }

    /// How likely it is that a question is for each agent; nothing when it needs no passages.
    package func likelihoods(query: String) -> [String: Float] {
        let scores = scores(of: query)
        guard scores.need >= weights.threshold, let most = scores.agents.max() else { return [:] }
        let shares = scores.agents.map { exp($0 - most) }
        let sum = shares.reduce(0, +)
        return Dictionary(zip(weights.agents, shares.map { Float($0 / sum) })) { first, _ in first }
    }

    /// The text to search for passages with, when `query` follows up a question of `history`; nil: the query as it is.
    package func searchText(query: String, history: [Turn]) -> String? {
        Rewrite.appended(query: query, history: history, skipping: isIdle)
    }

    private func isIdle(_ text: String) -> Bool { scores(of: text).need < weights.threshold }

    private func best(_ scores: Scores) -> String? {
        scores.agents.indices.max { scores.agents[$0] < scores.agents[$1] }.map { weights.agents[$0] }
    }

    struct Scores: Equatable {
        var need: Double
        var agents: [Double]
    }

    func scores(of text: String) -> Scores {
        let features = TextFeatures(text)
        // Whole bytes of them: the last may be nobody's.
        var sums = [Int](repeating: 0, count: 2 * weights.stride)
        let count = weights.bytes.withUnsafeBufferPointer { bytes in
            sums.withUnsafeMutableBufferPointer { sums in
                features.forEachHash { hash in
                    guard let slot = weights.slot(of: hash, in: bytes) else { return }
                    weights.add(slot, to: sums, from: bytes)
                }
            }
        }
        let size = Double(count).squareRoot()
        let values = zip(sums, weights.outputs).map { Double($0) * $1.scale / size + $1.bias }
        return Scores(need: values[0], agents: Array(values.dropFirst()))
    }
}

extension RouterWeights {
    /// The slot of a sequence; nil when it has no weights.
    @inline(__always)
    fileprivate func slot(of hash: UInt32, in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        let check = max(UInt8(truncatingIfNeeded: hash), 1)
        let first = Int(hash >> (32 - UInt32(bits)))
        // The last few go on at the beginning.
        guard first + Self.probes <= 1 << bits else {
            let slots = (0..<Self.probes).lazy.map { (first &+ $0) & (1 << bits - 1) }
            return slots.first { bytes[checks &+ $0] == check }
        }
        // All of them at once: the lowest byte that is zero is where the check stands (Warren, Hacker's Delight, §6-1).
        let four = UnsafeRawBufferPointer(bytes).loadUnaligned(fromByteOffset: checks &+ first, as: UInt32.self)
        let differences = UInt32(littleEndian: four) ^ UInt32(check) &* 0x0101_0101
        let zeros = (differences &- 0x0101_0101) & ~differences & 0x8080_8080
        return zeros == 0 ? nil : first &+ zeros.trailingZeroBitCount / 8
    }

    @inline(__always)
    fileprivate func add(_ slot: Int, to sums: UnsafeMutableBufferPointer<Int>, from bytes: UnsafeBufferPointer<UInt8>)
    {
        let row = weights &+ slot &* stride
        for place in 0..<stride {
            let byte = Int8(bitPattern: bytes[row &+ place])
            // The low half's sign comes down with it. A text has few sequences: nothing overflows.
            sums[2 &* place] &+= Int((byte << 4) >> 4)
            sums[2 &* place &+ 1] &+= Int(byte >> 4)
        }
    }
}
