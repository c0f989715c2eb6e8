/// How requests to one model are written so that its server takes them: learnt from what it refused.
///
/// Only what Parley adds of its own accord yields. What a job asked for is sent, under another name if need be, and when the
/// server does not take it the job fails with the server's words.
struct RequestForm: Sendable, Equatable {
    enum Streaming: Sendable { case asWanted, always, never }

    /// Defaults that are not sent.
    var without: Set<ChatParameter> = []
    /// The limit of tokens is called `max_completion_tokens`.
    var saysMaxCompletionTokens = false
    var streaming = Streaming.asWanted
    /// The system message is put before the first user message.
    var foldsSystem = false

    /// What a request held.
    struct Sent: Sendable {
        var streams = false
        /// Defaults that were sent.
        var defaults: Set<ChatParameter> = []
        var hasMaxTokens = false
        var hasSystem = false
    }

    /// The form in which to ask again; nil when the refusal is of nothing that could be left out or said otherwise.
    func adapted(to refusal: Refusal, of sent: Sent) -> RequestForm? {
        let clues = ErrorClues(refusal.error)
        switch refusal.kind {
        case .rejected: break
        case .failed, .noModel, .noRoute, .forbidden:
            // Gateways say so with any status.
            guard !refusal.hasBegun, clues.isUnsupported else { return nil }
        default: return nil
        }
        let names = NamedParameters(refusal.error)
        var form = self
        if let first = names.first(of: sent.defaults.union(sent.hasMaxTokens ? [.maxTokens] : [])) {
            for parameter in first {
                switch parameter {
                case .maxTokens:
                    // A limit that is too high is not mended by another name.
                    guard clues.isUnsupported || names.says("max_completion_tokens") else { continue }
                    form.saysMaxCompletionTokens.toggle()
                case .temperature, .seed, .streamOptions: form.without.insert(parameter)
                }
            }
            if form != self { return form }
        }
        if sent.hasSystem, names.isAboutSystemRole {
            form.foldsSystem = true
        } else if !sent.streams, names.isAboutStreaming, refusal.effectiveStatus != 403 {
            form.streaming = .always
        } else if sent.streams, names.isAboutStreaming, clues.isUnsupported, refusal.effectiveStatus != 403 {
            form.streaming = .never
        }
        return form == self ? nil : form
    }
}

/// The parameters that an error names.
struct NamedParameters {
    /// Those in members made for it.
    private let named: [String]
    private let words: String

    init(_ error: ServerError) {
        named = error.parameters.map { $0.lowercased() }
        words = error.message.lowercased()
    }

    /// Those of `parameters` that are named in members made for it; else the one that the words name first, since they may
    /// go on to list what is allowed.
    func first(of parameters: Set<ChatParameter>) -> [ChatParameter]? {
        let certain = parameters.filter { parameter in names(of: parameter).contains { named.contains($0) } }
        if !certain.isEmpty { return certain.sorted { $0.rawValue < $1.rawValue } }
        let places = parameters.compactMap { parameter in
            names(of: parameter).compactMap { place(of: $0) }.min().map { (parameter, $0) }
        }
        return places.min { $0.1 < $1.1 }.map { [$0.0] }
    }

    private func names(of parameter: ChatParameter) -> [String] {
        switch parameter {
        case .temperature, .seed: [parameter.rawValue]
        case .maxTokens: ["max_tokens", "max_completion_tokens"]
        case .streamOptions: ["stream_options", "include_usage"]
        }
    }

    func says(_ name: String) -> Bool { named.contains(name) || place(of: name) != nil }

    /// `stream`, `streaming`, `non-streaming` and so on, but not `upstream`.
    var isAboutStreaming: Bool {
        named.contains("stream")
            || ["stream", "streaming", "streamed", "incremental_output", "流式"].contains { place(of: $0) != nil }
    }

    var isAboutSystemRole: Bool {
        guard words.contains("system") || words.contains("developer") else { return false }
        return words.contains("role") || words.contains("system message") || words.contains("system prompt")
            || words.contains("developer instruction")
    }

    /// Where `name` stands as a word of its own.
    private func place(of name: String) -> Int? {
        let text = Array(words.utf8)
        let name = Array(name.utf8)
        func isPart(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "_") || (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte)
        }
        var start = 0
        while start + name.count <= text.count {
            let end = start + name.count
            if text[start..<end].elementsEqual(name), start == 0 || !isPart(text[start - 1]),
                end == text.count || !isPart(text[end])
            {
                return start
            }
            start += 1
        }
        return nil
    }
}
