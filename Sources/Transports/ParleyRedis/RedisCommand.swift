import ParleyPrimitives

/// Something that can stand in a command: text, a number, or bytes.
package protocol RedisArgument {
    var redisArgument: RedisCommand.Argument { get }
}

extension String: RedisArgument {
    package var redisArgument: RedisCommand.Argument { .text(self) }
}
extension Substring: RedisArgument {
    package var redisArgument: RedisCommand.Argument { .text(String(self)) }
}
extension Int: RedisArgument {
    package var redisArgument: RedisCommand.Argument { .number(Int64(self)) }
}
extension Int64: RedisArgument {
    package var redisArgument: RedisCommand.Argument { .number(self) }
}
extension Array: RedisArgument where Element == UInt8 {
    package var redisArgument: RedisCommand.Argument { .bytes(self) }
}

/// One command: its name and arguments, each any bytes at all.
///
/// ```swift
/// RedisCommand("SET", "greeting", [0, 255, 13, 10], "PX", 60_000)
/// ```
package struct RedisCommand: Sendable, Equatable {
    /// As it was given; it becomes bytes in the buffer of what is written.
    package enum Argument: Sendable, Equatable {
        case text(String)
        case bytes([UInt8])
        case number(Int64)
    }

    /// The name, then the arguments; of a script its keys and arguments.
    private let arguments: [Argument]
    /// Set when this is an `EVAL` that may travel as `EVALSHA`.
    let script: RedisScript?
    /// How many of the arguments are keys of the script's.
    private let keyCount: Int

    package init(_ parts: any RedisArgument...) { self.init(arguments: parts.map(\.redisArgument)) }

    /// - Parameter arguments: the name, then the arguments.
    package init(arguments: [[UInt8]]) { self.init(arguments: arguments.map(Argument.bytes)) }

    /// - Parameter arguments: the name, then the arguments.
    package init(arguments: [Argument]) {
        self.arguments = arguments
        script = nil
        keyCount = 0
    }

    /// Runs `script`; by its digest where that is known. When the server does not know it, the client sends the source once
    /// more, so that scripts can stand in a pipeline. A script sent again runs after the rest of its pipeline.
    package init(script: RedisScript, keys: [String], arguments: [Argument] = []) {
        var all: [Argument] = []
        all.reserveCapacity(keys.count + arguments.count)
        for key in keys { all.append(.text(key)) }
        all.append(contentsOf: arguments)
        self.init(script: script, keyCount: keys.count, all)
    }

    /// The same, keys and arguments in one: where both are made anew for each job, they need not be copied.
    ///
    /// - Parameter keyCount: how many of `arguments`, which come first, are keys.
    package init(script: RedisScript, keyCount: Int, _ arguments: [Argument]) {
        precondition((0...arguments.count).contains(keyCount), "keys are among the arguments")
        self.arguments = arguments
        self.script = script
        self.keyCount = keyCount
    }

    /// Asks for the digest of a script.
    init(loading script: RedisScript) { self.init("SCRIPT", "LOAD", script.bytes) }

    private static let eval = Array("EVAL".utf8)
    private static let evalsha = Array("EVALSHA".utf8)

    /// The name in upper case, for messages.
    var name: String { script == nil ? arguments.first?.description.uppercased() ?? "" : "EVAL" }
}

extension RedisCommand.Argument: CustomStringConvertible {
    /// As it was made text, when it is none.
    package var description: String {
        switch self {
        case .text(let text): text
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .number(let number): String(number)
        }
    }

    fileprivate var size: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .bytes(let bytes): bytes.count
        case .number: 20
        }
    }
}

// MARK: - On the wire

extension RedisCommand {
    /// How many bytes ``encode(into:digest:)`` appends, a little over-estimated; a script with its source.
    var encodedSize: Int { size + (script?.bytes.count ?? 0) }

    /// The same without the script's source, or its digest.
    private var size: Int { arguments.reduce(128) { $0 + $1.size + 32 } }

    /// Appends the command as an array of bulk strings, the form of every request
    /// (https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server).
    ///
    /// hiredis can format commands too, from a C array of pointers; this saves it one copy of every argument.
    func encode(into buffer: inout [UInt8], digest: [UInt8]? = nil) {
        buffer.append(addingCapacity: size + (digest ?? script?.bytes ?? []).count) { output in
            if let script {
                Self.appendLine(UInt8(ascii: "*"), arguments.count + 3, to: &output)
                Self.append(digest == nil ? Self.eval : Self.evalsha, to: &output)
                Self.append(digest ?? script.bytes, to: &output)
                Self.append(Int64(keyCount), to: &output)
            } else {
                Self.appendLine(UInt8(ascii: "*"), arguments.count, to: &output)
            }
            for argument in arguments {
                switch argument {
                case .text(let text): Self.append(text, to: &output)
                case .bytes(let bytes): Self.append(bytes, to: &output)
                case .number(let number): Self.append(number, to: &output)
                }
            }
        }
    }

    private static func append(_ text: String, to output: inout OutputSpan<UInt8>) {
        let bytes = text.utf8.span
        appendLine(UInt8(ascii: "$"), bytes.count, to: &output)
        bytes.withUnsafeBufferPointer { output.append(copying: $0) }
        appendEnd(to: &output)
    }

    private static func append(_ bytes: [UInt8], to output: inout OutputSpan<UInt8>) {
        appendLine(UInt8(ascii: "$"), bytes.count, to: &output)
        bytes.withUnsafeBufferPointer { output.append(copying: $0) }
        appendEnd(to: &output)
    }

    private static func append(_ number: Int64, to output: inout OutputSpan<UInt8>) {
        // Its length stands before it.
        var length = number < 0 ? 2 : 1
        var rest = number.magnitude / 10
        while rest > 0 {
            length += 1
            rest /= 10
        }
        appendLine(UInt8(ascii: "$"), length, to: &output)
        if number < 0 { output.append(UInt8(ascii: "-")) }
        output.append(decimal: number.magnitude)
        appendEnd(to: &output)
    }

    private static func appendLine(_ mark: UInt8, _ count: Int, to output: inout OutputSpan<UInt8>) {
        output.append(mark)
        output.append(decimal: UInt64(count.magnitude))
        appendEnd(to: &output)
    }

    private static func appendEnd(to output: inout OutputSpan<UInt8>) {
        output.append(UInt8(ascii: "\r"))
        output.append(UInt8(ascii: "\n"))
    }

    /// Redis takes no more in one command.
    private static let mostArguments = 1 << 20

    /// Why this command would break a connection that all share, on which replies are matched by order; nil when it is fine.
    var refusal: String? {
        guard arguments.count <= Self.mostArguments else { return "a command of \(arguments.count) arguments" }
        // Scripts, and most commands, pass without a look at all their letters.
        guard script == nil else { return nil }
        guard let name = arguments.first?.description, let first = name.utf8.first else {
            return "a command without a name"
        }
        guard name.utf8.count > 3, name.utf8.count < 13 else { return nil }
        switch first | 0x20 {
        // `MGET`: all that begin so and are refused are longer.
        case UInt8(ascii: "m") where name.utf8.count == 4: return nil
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
        arguments.count > index && arguments[index].description.utf8.elementsEqual(word.utf8) { $0 | 0x20 == $1 }
    }
}
