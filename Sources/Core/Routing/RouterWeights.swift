import ParleyDigest
import ParleyPrimitives

/// What a router has learnt: linear outputs over the slots of a table, as `scripts/train-router` writes them.
///
/// The file, numbers in little endian: ``magic``; a byte each for the table's bits and the number of agents; the agents'
/// names, each after a byte for its length; a scale and a bias (Float32) for each output, of which the first says whether
/// passages are needed and the others are the agents'; the threshold (Float32); for each slot a byte that tells
/// which sequence it is for (0: none); for each slot its weights, four bits each (-7 … 7, times the scale), the first in the
/// low half of a byte, in whole bytes; the SHA-256 of everything before.
package struct RouterWeights: Sendable {
    /// Those that Parley brings along.
    static var builtinBytes: [UInt8] { decodeBase64(builtinText) ?? [] }

    static let magic = Array("PARLEYR1".utf8)
    /// A sequence lies in the slot that its hash names or in one of the next three.
    static let probes = 4
    private static let digestSize = 32
    /// More is no router's file, and is refused before it is looked at.
    package static let mostBytes = 16 << 20

    let bits: Int
    /// The names of agents, as the settings have them.
    package let agents: [String]
    let outputs: [Output]
    /// Below it a question does without passages.
    let threshold: Double
    let bytes: [UInt8]
    /// Where the checks begin, and the weights.
    let checks: Int
    let weights: Int
    /// Bytes of a slot's weights.
    let stride: Int
    /// The first half of the digest's hexadecimal digits: the same weights have the same version.
    package let version: String

    struct Output: Sendable {
        var scale: Double
        var bias: Double
    }

    /// What is wrong with a file of weights.
    package struct Malformed: Error, Sendable, Equatable, CustomStringConvertible {
        package let description: String
    }

    package init(bytes: [UInt8]) throws(Malformed) {
        var reader = Reader(bytes: bytes)
        guard reader.take(Self.magic.count).elementsEqual(Self.magic) else {
            throw Malformed(
                description: bytes.starts(with: Self.magic.dropLast())
                    ? "made by another version of scripts/train-router; train it again"
                    : "no weights of a router; scripts/train-router makes them")
        }
        guard bytes.count <= Self.mostBytes else { throw Malformed(description: "\(bytes.count) bytes are too many") }
        let (bits, count) = (Int(reader.byte()), Int(reader.byte()))
        guard (8...20).contains(bits), (1...15).contains(count) else {
            throw Malformed(description: "\(bits) bits and \(count) agents; allowed: 8 to 20, and 1 to 15")
        }
        let agents = (0..<count).map { _ in String(decoding: reader.take(Int(reader.byte())), as: UTF8.self) }
        let outputs = (0...count).map { _ in Output(scale: reader.float(), bias: reader.float()) }
        let threshold = reader.float()
        let stride = (count + 2) / 2
        let end = reader.at + (1 + stride) << bits
        guard !reader.isShort, bytes.count == end + Self.digestSize else {
            throw Malformed(
                description: "\(bytes.count) bytes instead of \(end + Self.digestSize); it was cut short or added to")
        }
        guard Set(agents).count == count, agents.allSatisfy(Self.isName) else {
            throw Malformed(description: "its agents have no proper names")
        }
        guard let digest = SHA256.digest(of: Array(bytes[..<end])) else {
            throw Malformed(description: "cannot be checked: OpenSSL has no SHA-256")
        }
        guard bytes[end...].elementsEqual(digest) else {
            throw Malformed(description: "damaged: it does not fit its digest")
        }
        guard outputs.allSatisfy({ $0.scale.isFinite && $0.bias.isFinite }), threshold.isFinite else {
            throw Malformed(description: "a number in it is none")
        }
        self.bits = bits
        self.agents = agents
        self.outputs = outputs
        self.threshold = threshold
        self.bytes = bytes
        self.checks = reader.at
        self.weights = reader.at + 1 << bits
        self.stride = stride
        self.version = String(SHA256.digest(of: bytes)?.hex.prefix(16) ?? "")
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty
            && text.unicodeScalars.allSatisfy {
                $0.properties.isAlphabetic || "0123456789_-.".unicodeScalars.contains($0)
            }
    }

    /// Takes what is not there as zeros, and remembers that it was not there.
    private struct Reader {
        let bytes: [UInt8]
        private(set) var at = 0
        private(set) var isShort = false

        init(bytes: [UInt8]) { self.bytes = bytes }

        mutating func take(_ count: Int) -> ArraySlice<UInt8> {
            guard bytes.count - at >= count else {
                isShort = true
                return []
            }
            defer { at += count }
            return bytes[at..<at + count]
        }

        mutating func byte() -> UInt8 { take(1).first ?? 0 }

        mutating func float() -> Double {
            let bits = take(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return Double(Float(bitPattern: bits))
        }
    }
}
