import ParleyJSON

extension Job {
    /// The body of a message that asks for this job (contract, section 1); what is default is left out.
    public func encoded() -> [UInt8] { encoded(withID: true) }

    package func encoded(withID: Bool) -> [UInt8] {
        var writer = JSONWriter(capacity: 128 + query.utf8.count)
        writer.object { json in
            if withID { json.member("id", id.text) }
            json.member("query", query)
            json.member("user_id", userID)
            json.member("tenant", tenant)
            json.member("agent", agent)
            json.member("rewritten_query", rewrittenQuery)
            if !history.isEmpty {
                json.key("history")
                json.array { list in
                    for turn in history {
                        list.object {
                            $0.member("role", turn.role.rawValue)
                            $0.member("content", turn.content)
                        }
                    }
                }
            }
            if stream { json.member("stream", true) }
            json.member("not_before", notBefore?.rfc3339)
            json.member("deadline", deadline?.rfc3339)
            if options != JobOptions() {
                json.key("options")
                json.object { options.write(to: &$0) }
            }
            json.member("metadata", raw: metadata)
        }
        return writer.bytes
    }
}

extension JobOptions {
    fileprivate func write(to json: inout JSONWriter) {
        json.member("model", model)
        json.member("temperature", temperature)
        json.member("max_tokens", maxTokens)
        json.member("seed", seed)
        json.member("top_k", topK)
        json.member("retrieve", retrieve?.rawValue)
        if cache != .use { json.member("cache", cache.rawValue) }
    }
}
