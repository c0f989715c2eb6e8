import ParleyHTTP
import ParleyJSON

/// What can be learnt from an error as servers describe it: an object, a list of one, plain text, one in another.
///
/// Only members that errors have are looked at, wherever they are, so an answer that holds an error can be read as one.
struct ServerError: Sendable {
    /// Its sentences, the outermost first, none of them twice.
    private(set) var sentences: [String] = []
    /// Codes, types and states, in lower case, the outermost first.
    private(set) var codes: [String] = []
    /// Parameters named by a member of their own: `param`, or the parts of a `loc`.
    private(set) var parameters: [String] = []
    /// A wish for time that is not in the header.
    private(set) var retryAfter: Duration?

    private static let deepest = 6
    private static let mostSentences = 6

    init(_ body: [UInt8]) {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let body = body.starts(with: mark) ? Array(body.dropFirst(mark.count)) : body
        if let document = try? JSONDocument(body) {
            read(document.root, 0)
        } else {
            read(text: String(decoding: body.prefix(4096), as: UTF8.self), 0)
        }
    }

    init(_ json: JSONElement) { read(json, 0) }

    init(text: String) { read(text: text, 0) }

    /// What it says, in one text.
    var message: String { sentences.joined(separator: ": ") }

    /// The first HTTP status among the codes. FastChat's have two digits more: 42901.
    var status: Int? {
        codes.lazy.compactMap { Int($0) }.map { (40_000...59_999).contains($0) ? $0 / 100 : $0 }
            .first { (400...599).contains($0) }
    }

    // MARK: - Reading

    private mutating func read(_ json: JSONElement, _ depth: Int) {
        guard depth < Self.deepest else { return }
        switch json.kind {
        case .string: read(text: json.string ?? "", depth)
        case .number: add(code: json)
        case .array: for element in json.elements.prefix(8) { read(element, depth + 1) }
        case .object: read(object: json, depth)
        case .null, .true, .false: break
        }
    }

    private mutating func read(text: String, _ depth: Int) {
        let text = text.trimmed
        // A proxy's error page says nothing that its status does not.
        guard !text.isEmpty, !text.hasPrefix("<") else { return }
        if let start = text.utf8.firstIndex(where: { $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "[") }),
            let end = text.utf8.lastIndex(where: { $0 == UInt8(ascii: "}") || $0 == UInt8(ascii: "]") }), start < end,
            let inner = try? JSONDocument(Array(text.utf8[start...end])), inner.root.count > 0, !inner.root.isNumbers
        {
            // An error in the text of another.
            if start > text.startIndex { add(sentence: String(text[..<start]).trimmed) }
            return read(inner.root, depth + 1)
        }
        add(sentence: text)
    }

    private mutating func read(object: JSONElement, _ depth: Int) {
        if let place = object["loc"]?.elements.compactMap({ $0.string }), let problem = object["msg"]?.string {
            parameters += place.filter { $0 != "body" }
            add(sentence: "\(place.last ?? ""): \(problem)")
            if let type = object["type"] { add(code: type) }
            return
        }
        for (name, value) in object.members {
            switch name {
            case "message", "msg", "error", "errors", "detail", "details", "error_msg", "error_message", "err_msg",
                "errmsg", "status_msg", "error_description", "title", "innererror", "inner_error", "metadata", "raw",
                "base_resp", "provider_error", "response", "body", "description":
                if name == "error", value.string.map(Self.isWord) ?? false { add(code: value) }
                read(value, depth + 1)
            case "text" where object["error_code"] != nil: read(value, depth + 1)
            case "code", "type", "status", "error_code", "error_type", "status_code", "statusCode", "errorCode",
                "errorType", "reason", "http_code", "httpStatus", "__type":
                add(code: value)
            case "param", "parameter", "field": if let name = value.string, !name.isEmpty { parameters.append(name) }
            case "retryDelay", "retry_after", "retryAfter", "retry_after_seconds", "retry_after_ms", "retryAfterMs",
                "estimated_time":
                note(wait: RetryAfter.member(name, value))
            case "headers":
                let headers = value.members.compactMap { name, value in
                    (value.string ?? value.int.map(String.init)).map { HTTPHeader(name, $0) }
                }
                note(wait: RetryAfter.read(headers, isLimit: true))
            default: break
            }
        }
    }

    private mutating func add(sentence: String) {
        guard !sentence.isEmpty, sentences.count < Self.mostSentences,
            !sentences.contains(where: { $0.contains(sentence) })
        else { return }
        sentences.append(sentence)
    }

    private mutating func add(code: JSONElement) {
        guard codes.count < 16 else { return }
        if let number = code.int {
            codes.append("\(number)")
        } else if let word = code.string?.trimmed, !word.isEmpty {
            codes.append(word.lowercased())
        }
    }

    private mutating func note(wait: Duration?) {
        if let wait { retryAfter = max(wait, retryAfter ?? .zero) }
    }

    /// `InvalidCollection`, `rate_limited`: a code where others write a sentence.
    private static func isWord(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count < 60 && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}

extension String {
    /// Without white space at its ends.
    var trimmed: String {
        var rest = self[...]
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return String(rest)
    }
}
