import Foundation
import Glibc
import Synchronization

/// A peer that follows a script, for what no Redis server does: nonsense, half replies, pushes, silence.
///
/// It serves one connection after the other, as a client makes them.
package final class ScriptedRedis: Sendable {
    package enum Step: Sendable {
        /// Waits for one command, then sends this.
        case answer(String)
        /// Answers every command with this until the client has gone.
        case always(String)
        /// Answers each command with what this says until the client has gone.
        case serve(@Sendable ([String]) -> String)
        /// Waits for one command, and says nothing.
        case take
        /// Sends without being asked.
        case say([UInt8])
        /// Waits for one command, then sends byte by byte.
        case dribble(String)
        /// Sends this a byte at a time, and begins again, for as long as anybody is there.
        case drip(String)
        /// Reads, and says nothing, until the client has gone.
        case silence
        /// Does not even read, until ``goOn()``.
        case standStill
        /// Ends the connection with a reset instead of an end of file.
        case reset
    }

    package static let greeting = Step.answer("+PONG\r\n")

    package let port: UInt16
    private let listener: Int32
    private let state: State

    private final class State: Sendable {
        struct Facts {
            var commands: [[String]] = []
            var connections = 0
            var client: Int32?
            var mayGoOn = false
            var ended = false
        }
        let facts = Mutex(Facts())
    }

    /// - Parameter scripts: for the first connection, the second and so on; the last holds for all that follow. At the end
    ///   of its script the peer hangs up.
    package init(_ scripts: [[Step]]) throws {
        (listener, port) = try boundSocket()
        let (listener, state) = (listener, State())
        self.state = state
        guard listen(listener, 64) == 0 else { throw Failure("listen: errno \(errno)") }
        Thread.detachNewThread {
            var rest = scripts[...]
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { break }
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                let mayServe = state.facts.withLock { facts in
                    facts.client = client
                    facts.connections += 1
                    return !facts.ended
                }
                if mayServe, let script = rest.first { Self.serve(client, script, state) }
                if rest.count > 1 { rest.removeFirst() }
                state.facts.withLock { $0.client = nil }
                close(client)
            }
            close(listener)
        }
    }

    package convenience init(_ steps: Step...) throws { try self.init([steps]) }

    deinit {
        state.facts.withLock { facts in
            facts.ended = true
            facts.mayGoOn = true
            if let client = facts.client { shutdown(client, Int32(SHUT_RDWR)) }
        }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    package var url: String { "redis://127.0.0.1:\(port)" }
    /// What clients have sent, the greeting included, as far as it was waited for.
    package var commands: [[String]] { state.facts.withLock { $0.commands } }
    package var connections: Int { state.facts.withLock { $0.connections } }

    package func goOn() { state.facts.withLock { $0.mayGoOn = true } }

    // MARK: - The peer's thread

    private static func serve(_ client: Int32, _ script: [Step], _ state: State) {
        var input = CommandReader(descriptor: client)
        func take() -> Bool {
            guard let command = input.next() else { return false }
            state.facts.withLock { $0.commands.append(command) }
            return true
        }
        for step in script {
            switch step {
            case .take: guard take() else { return }
            case .answer(let text): guard take(), send(client, Array(text.utf8)) else { return }
            case .always(let text): while take(), send(client, Array(text.utf8)) {}
            case .serve(let answer):
                while let command = input.next(), send(client, Array(answer(command).utf8)) {
                    state.facts.withLock { $0.commands.append(command) }
                }
            case .say(let bytes): guard send(client, bytes) else { return }
            case .dribble(let text):
                guard take() else { return }
                for byte in text.utf8 { guard send(client, [byte]) else { return } }
            case .drip(let text):
                while true {
                    for byte in text.utf8 { guard send(client, [byte]) else { return } }
                    usleep(20_000)
                }
            case .silence: while take() {}
            case .standStill: while !state.facts.withLock({ $0.mayGoOn }) { usleep(1_000) }
            case .reset:
                var linger = linger(l_onoff: 1, l_linger: 0)
                setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
                return
            }
        }
    }

    private static func send(_ client: Int32, _ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(client, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}

/// Reads commands, arrays of bulk strings, from a blocking socket.
private struct CommandReader {
    let descriptor: Int32
    private var bytes: [UInt8] = []
    private var position = 0

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// nil when the client has gone.
    mutating func next() -> [String]? {
        guard let count = number() else { return nil }
        var words: [String] = []
        for _ in 0..<count {
            guard let length = number(), let word = take(length + 2) else { return nil }
            words.append(String(decoding: word.dropLast(2), as: UTF8.self))
        }
        return words
    }

    /// What stands between the mark (`*`, `$`) and the end of the line.
    private mutating func number() -> Int? {
        var digits = ""
        while let byte = take(1)?.first {
            if byte == UInt8(ascii: "\n") { return Int(digits) }
            if (0x30...0x39).contains(byte) { digits.unicodeScalars.append(Unicode.Scalar(byte)) }
        }
        return nil
    }

    private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        while bytes.count - position < count {
            bytes.removeFirst(position)
            position = 0
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let size = read(descriptor, &buffer, buffer.count)
            guard size > 0 else { return nil }
            bytes += buffer[..<size]
        }
        defer { position += count }
        return bytes[position..<position + count]
    }
}
