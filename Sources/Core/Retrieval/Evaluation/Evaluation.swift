/// How often retrieval finds what answers: over all questions, and by their language and agent.
package struct Evaluation: Sendable, Equatable {
    /// So many passages are looked at.
    package static let depth = 10

    package struct Figures: Sendable, Equatable {
        /// Questions that an article answers, and those that nothing answers.
        package private(set) var answerable = 0
        package private(set) var unanswerable = 0
        /// Of the answerable: the article is of the first passage, of the first four, of the first ten.
        private var hits = (at1: 0, at4: 0, at10: 0)
        private var reciprocalRanks = 0.0
        /// Of the unanswerable: no passage was found.
        private var nothings = 0

        package var questions: Int { answerable + unanswerable }
        /// Shares, 0 … 1; nil of nothing.
        package var hitAt1: Double? { share(hits.at1, of: answerable) }
        package var hitAt4: Double? { share(hits.at4, of: answerable) }
        package var hitAt10: Double? { share(hits.at10, of: answerable) }
        /// The mean of 1 / the place of the first passage of the article, 0 where there is none.
        package var meanReciprocalRank: Double? { answerable == 0 ? nil : reciprocalRanks / Double(answerable) }
        package var nothingFound: Double? { share(nothings, of: unanswerable) }

        private func share(_ count: Int, of all: Int) -> Double? { all == 0 ? nil : Double(count) / Double(all) }

        fileprivate mutating func add(_ question: EvaluationQuestion, _ found: [String]) {
            guard !question.articles.isEmpty else {
                unanswerable += 1
                if found.isEmpty { nothings += 1 }
                return
            }
            answerable += 1
            guard let place = found.prefix(Evaluation.depth).firstIndex(where: question.isAnswered) else { return }
            hits.at1 += place < 1 ? 1 : 0
            hits.at4 += place < 4 ? 1 : 0
            hits.at10 += 1
            reciprocalRanks += 1 / Double(place + 1)
        }

        package init() {}

        package static func == (one: Figures, other: Figures) -> Bool {
            (one.answerable, one.unanswerable, one.nothings, one.reciprocalRanks)
                == (other.answerable, other.unanswerable, other.nothings, other.reciprocalRanks)
                && one.hits == other.hits
        }
    }

    package private(set) var all = Figures()
    package private(set) var byLanguage: [String: Figures] = [:]
    package private(set) var byAgent: [String: Figures] = [:]

    package init() {}

    /// - Parameter found: the documents of the passages that were found, best first.
    package mutating func add(_ question: EvaluationQuestion, found: [String]) {
        all.add(question, found)
        if let language = question.language { byLanguage[language, default: Figures()].add(question, found) }
        if let agent = question.agent { byAgent[agent, default: Figures()].add(question, found) }
    }
}
