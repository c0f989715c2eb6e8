import ChatJobs

/// A question, and what it may find.
package struct RetrievalQuestion: Sendable, Hashable {
    package var text: String
    package var filter: PassageFilter

    package init(_ text: String, filter: PassageFilter) {
        self.text = text
        self.filter = filter
    }
}

extension Retriever {
    /// The passages nearest to each question, nearest first, at most `topK`.
    ///
    /// - Parameter timeout: for embedding and searching together.
    /// - Throws: the first question's failure.
    package func retrieve(
        _ questions: [RetrievalQuestion], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Source]] {
        try await matches(questions, topK: topK, timeout: timeout).map { $0.map(\.source) }
    }

    /// Like ``retrieve(_:topK:timeout:)``, with all that is known of the passages.
    package func matches(
        _ questions: [RetrievalQuestion], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        var matches: [[Match]] = []
        for result in await results(questions, topK: topK, timeout: timeout) { matches.append(try result.get()) }
        return matches
    }

    /// Of questions that are nobody's in particular: what everybody may find.
    package func retrieve(
        _ questions: [String], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Source]] {
        try await retrieve(Self.nobodys(questions), topK: topK, timeout: timeout)
    }

    package func matches(
        _ questions: [String], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        try await matches(Self.nobodys(questions), topK: topK, timeout: timeout)
    }

    package func results(
        _ questions: [String], topK: Int, timeout: Duration
    ) async -> [Result<[Match], RetrievalError>] {
        await results(Self.nobodys(questions), topK: topK, timeout: timeout)
    }

    private static func nobodys(_ questions: [String]) -> [RetrievalQuestion] {
        questions.map { RetrievalQuestion($0, filter: PassageFilter()) }
    }
}
