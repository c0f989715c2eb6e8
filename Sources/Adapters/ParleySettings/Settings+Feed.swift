extension SettingsReader {
    /// `model.feed` and what belongs to it.
    mutating func feed(_ prefix: String, _ model: inout Settings.Model) {
        choice(prefix + "feed", &model.feed)
        int(prefix + "max_batch", &model.maxBatch, in: 1...1024)
        int(prefix + "max_batch_tokens", &model.maxBatchTokens, in: 256...100_000_000)
        string(prefix + "template", &model.template)
        if !Settings.Model.templates.contains(model.template) {
            wrong(prefix + "template", model.template, Settings.Model.templates.joined(separator: ", "))
        }
        // A batch is whatever has queued while the last one ran: several at once are for whoever says so.
        if model.feed == .prompts, !isSet("model.max_concurrency"), !isSet(prefix + "max_concurrency") {
            model.maxConcurrency = 1
        }
    }
}
