import ParleyHTTP
import ParleyJSON

extension ChatCompletionsModel {
    /// What a request in `form` holds.
    func contents(_ request: GenerationRequest, _ messages: [ChatMessage], _ form: RequestForm, wantsStream: Bool)
        -> RequestForm.Sent
    {
        var sent = RequestForm.Sent()
        sent.streams = form.streaming == .always || form.streaming == .asWanted && wantsStream
        var defaults: Set<ChatParameter> = []
        if request.temperature == nil { defaults.insert(.temperature) }
        if request.seed == nil { defaults.insert(.seed) }
        if sent.streams { defaults.insert(.streamOptions) }
        sent.defaults = defaults.subtracting(form.without).subtracting(behaviour.omitted)
        sent.hasMaxTokens = request.maxTokens != nil && !behaviour.omitted.contains(.maxTokens)
        sent.hasSystem = !form.foldsSystem && messages.first?.role == .system
        return sent
    }

    func httpRequest(
        _ request: GenerationRequest, _ messages: [ChatMessage], _ form: RequestForm, _ sent: RequestForm.Sent
    ) -> HTTPRequest {
        let messages = form.foldsSystem ? Self.folded(messages) : messages
        var writer = JSONWriter(capacity: 512 + messages.reduce(0) { $0 + $1.content.utf8.count + 64 })
        writer.object { json in
            json.member("model", request.model ?? name)
            json.key("messages")
            json.array { array in
                for message in messages {
                    array.object {
                        $0.member("role", message.role.rawValue)
                        $0.member("content", message.content)
                    }
                }
            }
            if sent.defaults.contains(.temperature) {
                json.member("temperature", Self.defaultTemperature)
            } else if !behaviour.omitted.contains(.temperature) {
                json.member("temperature", request.temperature)
            }
            if sent.defaults.contains(.seed) {
                json.member("seed", Self.defaultSeed)
            } else if !behaviour.omitted.contains(.seed) {
                json.member("seed", request.seed)
            }
            if sent.hasMaxTokens {
                json.member(form.saysMaxCompletionTokens ? "max_completion_tokens" : "max_tokens", request.maxTokens)
            }
            json.member("stream", sent.streams)
            if sent.defaults.contains(.streamOptions) {
                json.key("stream_options")
                json.object { $0.member("include_usage", true) }
            }
        }
        return HTTPRequest(
            method: "POST", url: completionsURL.string, headers: sent.streams ? streamHeaders : wholeHeaders,
            body: writer.bytes)
    }

    /// The list of models.
    func listRequest() -> HTTPRequest {
        HTTPRequest(
            url: modelsURL.string, headers: wholeHeaders, timeouts: HTTPTimeouts(total: .seconds(5)),
            maxBodyBytes: Self.maxBodyBytes)
    }

    private static func folded(_ messages: [ChatMessage]) -> [ChatMessage] {
        guard let system = messages.first, system.role == .system else { return messages }
        var rest = Array(messages.dropFirst())
        guard let first = rest.first, first.role == .user else { return messages }
        rest[0].content = system.content + "\n\n" + first.content
        return rest
    }
}
