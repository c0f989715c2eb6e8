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

    /// What is set and has no effect beside the rest, a sentence each.
    package var idleOddities: [String] { idleness + batchOddities }

    /// What is for batches, where none are made.
    private var batchOddities: [String] {
        func isBatched(_ model: Model) -> Bool { model.feed == .batch }
        var found: [String] = []
        func look(_ own: Model, _ inherited: Model?, _ prefix: String, isUsed: Bool) {
            guard !isUsed else { return }
            for (key, isSet) in [
                ("batch_hours", own.batchHours != nil && own.batchHours != inherited?.batchHours),
                ("batch_prices", own.batchPrices != nil && own.batchPrices != inherited?.batchPrices),
            ] where isSet {
                found.append(
                    "\(prefix)\(key) has no effect: it is for \(prefix)feed: batch, and that is \(own.feed.rawValue)")
            }
        }
        look(model, nil, "model.", isUsed: isBatched(model) || agents.values.contains { isBatched($0.model) })
        for (name, agent) in agents.sorted(by: { $0.key < $1.key }) {
            look(agent.model, model, "agents.\(name).model.", isUsed: isBatched(agent.model))
        }
        return found
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
