import ParleyHTTP
import ParleyJSON

/// What a service's error answer says of its cause.
///
/// Free text in it may quote what was asked, be it another tenant's question of the same window: it goes into
/// ``RetrievalError/serviceWords`` alone. A code cannot quote a sentence, and one that stands in what was asked is left out.
struct ErrorAnswer {
    /// Of a longer answer only the beginning is looked at, as text.
    static let mostBytes = 1 << 20
    private static let mostText = 4096

    /// The service's own short word for the cause, such as `context_length_exceeded`.
    let code: String?
    /// Its sentence, or the beginning of whatever it sent; at most 300 characters. Nil when it sent nothing.
    let words: String?
    /// Whether it is JSON with an error in it, as a service writes and a gateway in front of it seldom does.
    let isServices: Bool
    /// The HTTP status that an error in the body of a 200 stands for.
    let statedStatus: Int?
    /// There is such a model, and it does not run yet. Some services say so with a 400.
    let saysNotReady: Bool
    private let saysDenied: Bool
    private let text: String

    /// - Parameter asked: what the request held, as far as it may be quoted.
    init(_ body: [UInt8], asked: some Collection<String> = [String]()) {
        let root = body.count <= Self.mostBytes ? (try? JSONDocument(body))?.root : nil
        // Some services put the object into an array of one.
        let object = root?.kind == .array ? root?.elements.first : root
        let error = object?["error"]
        let detail = object?["detail"]?.elements.first ?? object?["errors"]?.elements.first
        text = String(decoding: body.prefix(Self.mostText), as: UTF8.self)
        let lowered = text.lowercased()
        func says(_ phrases: [String]) -> Bool {
            // What was asked may be quoted, and says nothing of the service.
            phrases.contains { phrase in
                lowered.contains(phrase) && !asked.contains { $0.lowercased().contains(phrase) }
            }
        }
        saysNotReady = says([
            "no models loaded", "no model loaded", "no model is loaded", "model is not loaded", "model not loaded",
            "model unloaded", "model is not ready", "model not ready", "model is loading", "currently loading",
            "loading model",
        ])
        saysDenied = says([
            "model not found", "model is not found", "model does not exist", "no such model", "unknown model",
            "api key not valid", "invalid api key", "incorrect api key", "budget has been exceeded",
            "security token included in the request is",
        ])
        let sentence =
            error?["message"]?.string ?? object?["message"]?.string ?? error?.string ?? object?["detail"]?.string
            ?? detail?["msg"]?.string ?? detail?["message"]?.string ?? detail?.string
        let line = Self.printable((sentence ?? text).prefix(Self.mostText))
        words = line.isEmpty ? nil : String(line.prefix(300))
        isServices = object?.kind == .object && (error?.isNull == false || sentence != nil)
        let stated = [error?["code"], error?["status"], object?["code"], object?["status"]]
        statedStatus = stated.lazy.compactMap { $0?.int ?? $0?.string.flatMap { Int($0) } }
            .first { (400...599).contains($0) }
        let candidates = [
            error?["code"], error?["type"], error?["status"], object?["code"], object?["type"], object?["error_type"],
            error, detail?["type"],
        ]
        code = candidates.lazy.compactMap { $0?.string }.first { candidate in
            Self.isCode(candidate)
                && !asked.contains { $0.lowercased().contains(candidate.lowercased()) }
        }
    }

    /// On one line, without what moves a terminal's cursor or turns its text around.
    private static func printable(_ text: Substring) -> String {
        let plain = text.unicodeScalars.map { scalar -> Character in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: " "
            default: Character(scalar)
            }
        }
        return String(plain).split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    /// `[A-Za-z0-9_.-]{1,64}` with a letter in it: a number alone could be anybody's.
    private static func isCode(_ text: String) -> Bool {
        let isLetter = { (byte: UInt8) in (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) }
        return (1...64).contains(text.utf8.count) && text.utf8.contains(where: isLetter)
            && text.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || "_.-".utf8.contains($0) }
    }

    /// Whether it speaks of a text's length, which servers say in many ways and with statuses from 400 to 500.
    ///
    /// - Parameter plainly: in words that mean nothing else.
    func saysTooLong(plainly: Bool = false) -> Bool {
        let text = text.lowercased()
        let plain = [
            "too long", "too large to process", "too many tokens", "context length", "context size", "context_length",
            "context_size", "context window", "input length", "sequence length", "maximum length", "token limit",
            "input is too large",
        ]
        if plain.contains(where: text.contains) { return true }
        if plainly { return false }
        let bounds = ["exceed", "maximum", "max ", "limit", "less than", "at most", "more than", "longer than"]
        return text.contains("token") && bounds.contains(where: text.contains)
    }

    /// Whether it says that the model or the key is wrong, or that there is no money, which some services say with a 400.
    var deniesEveryone: Bool {
        if saysDenied { return true }
        guard let code = code?.lowercased().filter({ $0 != "_" && $0 != "-" && $0 != "." }) else { return false }
        return [
            "modelnotfound", "modelnotexist", "modelnotexists", "invalidmodel", "unknownmodel", "invalidapikey",
            "authenticationerror", "budgetexceeded",
        ].contains(code)
    }
}
