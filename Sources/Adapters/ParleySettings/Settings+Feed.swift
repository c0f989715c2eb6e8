import ParleyPrimitives

extension SettingsReader {
    /// `model.feed` and what belongs to it.
    mutating func feed(_ prefix: String, _ model: inout Settings.Model) {
        choice(prefix + "feed", &model.feed)
        flag(prefix + "hedge", &model.hedges)
        int(prefix + "max_batch", &model.maxBatch, in: 1...1024)
        int(prefix + "max_batch_tokens", &model.maxBatchTokens, in: 256...100_000_000)
        string(prefix + "template", &model.template)
        if !Settings.Model.templates.contains(model.template) {
            wrong(prefix + "template", model.template, Settings.Model.templates.joined(separator: ", "))
        }
        hours(prefix + "batch_hours", &model.batchHours)
        prices(prefix + "batch_prices", &model.batchPrices)
        if model.feed == .batch, model.url.hasPrefix("builtin:") {
            wrong(
                prefix + "feed", "batch", "requests, since \(prefix)url is \(model.url), which has no batch interface")
        }
        if model.feed == .batch, !model.endpoints.isEmpty {
            wrong(
                prefix + "feed", "batch",
                "requests or prompts, since \(prefix)endpoints has \(model.endpoints.count) servers, and a batch is at one"
            )
        }
        // A batch is whatever has queued while the last one ran: several at once, at one server, are for whoever says so.
        if model.feed == .prompts, !isSet("model.max_concurrency"), !isSet(prefix + "max_concurrency") {
            model.maxConcurrency = model.urls.count
        }
    }

    /// `22-6`
    private mutating func hours(_ key: String, _ value: inout Settings.Model.Hours?) {
        var text: String?
        string(key, &text)
        guard let text else { return }
        let hours = text.split(separator: "-", omittingEmptySubsequences: false).compactMap { Int($0.trimmingSpaces()) }
        guard hours.count == 2, hours.allSatisfy({ (0...24).contains($0) }), hours[0] % 24 != hours[1] % 24 else {
            return wrong(key, text, "two different hours from 0 to 24, in UTC, such as 22-6")
        }
        value = Settings.Model.Hours(start: hours[0], end: hours[1])
    }
}
