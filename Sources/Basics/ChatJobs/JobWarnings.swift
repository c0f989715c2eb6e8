import ParleyPrimitives

/// What a body has that nobody reads, and that its producer probably expects to be read. No mistake, since unknown members
/// are free to be there; most bodies have none, and cost one look at their names.
extension JobFields {
    /// The most of them in one reply.
    private static let most = 8
    /// The most members of `options` that are looked at.
    private static let mostOptions = 64

    func warnings(_ envelope: Envelope) -> [String] {
        var warnings: [String] = []
        for (name, value) in unread {
            if let warning = Self.warning(name, value.int, value.string, envelope) { warnings.append(warning) }
        }
        if let options = self["options"], options.count > Self.options.count(where: { options[$0] != nil }) {
            for (name, _) in options.members.prefix(Self.mostOptions) where !Self.options.contains(name) {
                if let near = Self.nearest(to: name, of: Self.options) {
                    warnings.append(Self.ignored("options.\(name)", near: "options.\(near)"))
                } else if let near = Self.nearest(to: name, of: Self.names) {
                    warnings.append(Self.ignored("options.\(name)", near: "\(near), beside options"))
                }
            }
        }
        return warnings.count > Self.most ? Array(warnings.prefix(Self.most)) : warnings
    }

    private static func warning(_ name: String, _ number: Int?, _ text: String?, _ envelope: Envelope) -> String? {
        switch name {
        case "priority":
            // Who says it twice (`parley publish` does) has it.
            guard number == nil || number != envelope.priority.map(Int.init) else { return nil }
            return "priority in the body is not read; set the AMQP property priority (0 to 9)"
        case "reply_to", "replyTo":
            guard text == nil || text.flatMap(ReplyAddress.queue) != envelope.replyTo else { return nil }
            return "\(name) in the body is not read; set the AMQP property reply_to"
        case "correlation_id", "correlationId":
            guard text == nil || text != envelope.correlationID else { return nil }
            return "\(name) in the body is not read; set the AMQP property correlation_id, or use metadata"
        case _ where options.contains(name): return ignored(name, near: "options.\(name)")
        default:
            if let near = nearest(to: name, of: names) { return ignored(name, near: near) }
            return nearest(to: name, of: options).map { ignored(name, near: "options.\($0)") }
        }
    }

    private static func ignored(_ name: String, near: String) -> String {
        "\(shown(name)) is not read; did you mean \(near)?"
    }

    static func isMember(_ name: String) -> Bool {
        switch name {
        case "id", "query", "user_id", "tenant", "agent", "rewritten_query", "history", "stream", "not_before",
            "deadline",
            "options", "metadata", "body_ref":
            true
        default: false
        }
    }

    static let names = [
        "id", "query", "user_id", "tenant", "agent", "rewritten_query", "history", "stream", "not_before", "deadline",
        "options", "metadata", "body_ref",
    ]
    private static let options = ["model", "temperature", "max_tokens", "seed", "top_k", "retrieve", "cache"]
    /// Other systems' words for the same.
    private static let synonyms = ["question": "query", "prompt": "query", "messages": "history", "user": "user_id"]

    private static func nearest(to name: String, of known: [String]) -> String? {
        guard name.utf8.count <= 32 else { return nil }
        let plain = plain(name)
        if let synonym = synonyms[plain], known.contains(synonym) { return synonym }
        let limit = plain.utf8.count < 4 ? 0 : plain.utf8.count < 8 ? 1 : 2
        return known.first { candidate in
            let candidate = Self.plain(candidate)
            return candidate == plain || (candidate.utf8.count > 3 && candidate.editDistance(to: plain) <= limit)
        }
    }

    /// Without what differs between `maxTokens`, `max-tokens` and `max_tokens`.
    private static func plain(_ name: String) -> String {
        name.lowercased().filter { $0 != "_" && $0 != "-" && $0 != " " }
    }
}
