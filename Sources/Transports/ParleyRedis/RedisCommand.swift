/// Something that can stand in a command: text, a number, or bytes.
package protocol RedisArgument {
    /// What goes over the wire.
    var redisBytes: [UInt8] { get }
}

extension String: RedisArgument {
    package var redisBytes: [UInt8] { Array(utf8) }
}
extension Substring: RedisArgument {
    package var redisBytes: [UInt8] { Array(utf8) }
}
extension Int: RedisArgument {
    package var redisBytes: [UInt8] { Array(String(self).utf8) }
}
extension Int64: RedisArgument {
    package var redisBytes: [UInt8] { Array(String(self).utf8) }
}
extension Array: RedisArgument where Element == UInt8 {
    package var redisBytes: [UInt8] { self }
}

/// One command: its name and arguments, each any bytes at all.
///
/// ```swift
/// RedisCommand("SET", "greeting", [0, 255, 13, 10], "PX", 60_000)
/// ```
package struct RedisCommand: Sendable, Equatable {
    /// The name, then the arguments.
    package var arguments: [[UInt8]]
    /// Set when this is an `EVAL` that may travel as `EVALSHA`.
    private(set) var script: RedisScript?

    package init(_ parts: any RedisArgument...) {
        arguments = parts.map(\.redisBytes)
    }

    /// - Parameter arguments: the name, then the arguments.
    package init(arguments: [[UInt8]]) {
        self.arguments = arguments
    }

    /// Runs `script`; by its digest where that is known. When the server does not know it, the client sends the source once
    /// more, so that scripts can stand in a pipeline. A script sent again runs after the rest of its pipeline.
    package init(script: RedisScript, keys: [String], arguments: [[UInt8]] = []) {
        var parts = [Self.eval, script.bytes, keys.count.redisBytes]
        parts.reserveCapacity(3 + keys.count + arguments.count)
        for key in keys { parts.append(key.redisBytes) }
        parts.append(contentsOf: arguments)
        self.arguments = parts
        self.script = script
    }

    /// Asks for the digest of a script.
    init(loading script: RedisScript) { self.init("SCRIPT", "LOAD", script.bytes) }

    private static let eval = "EVAL".redisBytes
    private static let evalsha = "EVALSHA".redisBytes

    /// The name in upper case, for messages.
    var name: String { String(decoding: arguments.first ?? [], as: UTF8.self).uppercased() }
}

// MARK: - On the wire

extension RedisCommand {
    /// How many bytes ``encode(into:digest:)`` appends, a little over-estimated; a script with its source.
    var encodedSize: Int { arguments.reduce(24) { $0 + $1.count + 24 } }

    /// Appends the command as an array of bulk strings, the form of every request
    /// (https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server).
    ///
    /// hiredis can format commands too, from a C array of pointers; this saves it one copy of every argument.
    func encode(into buffer: inout [UInt8], digest: [UInt8]? = nil) {
        Self.appendLine(UInt8(ascii: "*"), arguments.count, to: &buffer)
        var next = 0
        if let digest, script != nil, arguments.count > 1 {
            Self.append(Self.evalsha, to: &buffer)
            Self.append(digest, to: &buffer)
            next = 2
        }
        while next < arguments.count {
            Self.append(arguments[next], to: &buffer)
            next += 1
        }
    }

    private static func append(_ argument: [UInt8], to buffer: inout [UInt8]) {
        appendLine(UInt8(ascii: "$"), argument.count, to: &buffer)
        buffer.append(contentsOf: argument)
        buffer.append(UInt8(ascii: "\r"))
        buffer.append(UInt8(ascii: "\n"))
    }

    private static func appendLine(_ mark: UInt8, _ count: Int, to buffer: inout [UInt8]) {
        buffer.append(mark)
        var scale = 1
        while count / scale >= 10 { scale *= 10 }
        while scale > 0 {
            buffer.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: count / scale % 10))
            scale /= 10
        }
        buffer.append(UInt8(ascii: "\r"))
        buffer.append(UInt8(ascii: "\n"))
    }

    /// Redis takes no more in one command.
    private static let mostArguments = 1 << 20

    /// Why this command would break a connection that all share, on which replies are matched by order; nil when it is fine.
    var refusal: String? {
        guard let name = arguments.first, !name.isEmpty else { return "a command without a name" }
        guard arguments.count <= Self.mostArguments else { return "a command of \(arguments.count) arguments" }
        // Most commands, and all scripts, pass without a look at all their letters.
        guard name.count > 3, name.count < 13, script == nil else { return nil }
        switch name[0] | 0x20 {
        case UInt8(ascii: "a"), UInt8(ascii: "c")...UInt8(ascii: "e"), UInt8(ascii: "h"), UInt8(ascii: "m"),
            UInt8(ascii: "p")...UInt8(ascii: "s"), UInt8(ascii: "u"), UInt8(ascii: "w"):
            break
        default: return nil
        }
        switch self.name {
        case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "MONITOR", "SYNC",
            "PSYNC", "REPLCONF":
            return "\(self.name): its answers come without being asked for; it needs a connection of its own"
        case "HELLO", "RESET", "SELECT", "AUTH", "QUIT":
            return "\(self.name): it changes the connection for everybody; set it in the URL instead"
        case "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH":
            return "\(self.name): other tasks' commands would be in the transaction; a script runs as one step, too"
        case "CLIENT" where says("reply", at: 1):
            return "CLIENT REPLY: without replies nobody can be told what became of a command"
        case "SCRIPT" where says("debug", at: 1): return "SCRIPT DEBUG: it needs a connection of its own"
        default: return nil
        }
    }

    private func says(_ word: String, at index: Int) -> Bool {
        arguments.count > index && arguments[index].elementsEqual(word.utf8) { $0 | 0x20 == $1 }
    }
}
