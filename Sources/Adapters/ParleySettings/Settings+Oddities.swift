extension Settings {
    /// That tenants, kept apart otherwise, may have replies put into each other's queues.
    package var replyOddity: String? {
        let open = replyAllow.filter { !$0.contains("{tenant}") && !$0.contains("{user}") && !$0.hasPrefix("amq.") }
        guard tenants.mode == .authenticated, !open.isEmpty else { return nil }
        return
            "reply.allow is \"\(replyAllow.joined(separator: ", "))\": with tenants.mode authenticated a tenant's job may have its reply "
            + "put into another tenant's queue; write {tenant} or {user} into each name, such as chat.replies.{tenant}, "
            + "chat.replies.{tenant}.*, amq.rabbitmq.reply-to"
    }

    /// That `OPENAI_API_KEY` is set and not sent, a sentence for each part.
    package var keyOddities: [String] {
        withheldKeys.map { part in
            "OPENAI_API_KEY is not sent to \(part)\(Self.isFallbacks(part) ? "" : ".url"): \(Self.defaultFile) names that, which only "
                + "lies in the working folder; give the file with --config or PARLEY_CONFIG, or set "
                + (Self.isFallbacks(part) ? "its api_key in a list" : "\(part).api_key")
        }
    }
}
