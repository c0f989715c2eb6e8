/// A Lua script, run on the server in one step. To be made once, and kept.
///
/// It travels as the digest by which the server knows it (`EVALSHA`) once that is known: the first call carries the source
/// (`EVAL`), and a `SCRIPT LOAD` behind it asks for the digest. The source follows again when the server answers that it
/// does not know the script (after a restart, or `SCRIPT FLUSH`), and always where `SCRIPT LOAD` is not allowed.
package final class RedisScript: Sendable, Equatable {
    package let source: String
    let bytes: [UInt8]

    package init(_ source: String) {
        self.source = source
        bytes = Array(source.utf8)
    }

    package static func == (a: RedisScript, b: RedisScript) -> Bool { a === b || a.source == b.source }
}

/// What the server at the other end of a connection calls scripts.
struct ScriptDigests {
    private struct Entry {
        let script: RedisScript
        /// nil while it is asked for, and when it was asked for in vain.
        var digest: [UInt8]?
    }

    // Few, and the same objects over and over: looked through faster than hashed.
    private var entries: [Entry] = []
    /// Whoever makes scripts up as they go pays for it with their source.
    private static let most = 64

    subscript(script: RedisScript) -> [UInt8]? { entries.first { $0.script === script }?.digest }

    /// Under which number the server should be asked now; nil when it has been.
    mutating func ask(_ script: RedisScript) -> Int? {
        guard entries.count < Self.most, !entries.contains(where: { $0.script === script }) else { return nil }
        entries.append(Entry(script: script))
        return entries.count - 1
    }

    /// What the server answered to `SCRIPT LOAD`; a refusal leaves the script to travel as its source.
    mutating func answered(_ number: Int, _ answer: RedisValue) {
        guard let digest = answer.bytes, digest.count == 40, digest.allSatisfy(Self.isHexadecimal) else { return }
        entries[number].digest = digest
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }
}
