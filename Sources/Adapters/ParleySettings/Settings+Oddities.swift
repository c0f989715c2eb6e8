extension Settings {
    /// That `OPENAI_API_KEY` is set and not sent, a sentence for each part.
    package var keyOddities: [String] {
        withheldKeys.map { part in
            "OPENAI_API_KEY is not sent to \(part).url: \(Self.defaultFile) names that, which only lies in the working folder; "
                + "give the file with --config or PARLEY_CONFIG, or set \(part).api_key"
        }
    }
}
