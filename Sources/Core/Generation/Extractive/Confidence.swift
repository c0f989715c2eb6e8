import Retrieval

/// What a document's passages have of a question.
struct DocumentMatches {
    /// The passages' places among those that were found.
    var passages: [Int] = []
    var text = QuestionTerms.Matches()
    /// Of titles and headings.
    var title = QuestionTerms.Matches()
    /// How much of its title the question says, 0 … 1.
    var titleShare = 0.0
    /// The best of its passages'.
    var score = 0.0

    var all: UInt64 { text.any | title.any }
}

/// How sure it is that a document answers a question: how much of the question it speaks of, and by how much it stands out from the other
/// documents that were found.
///
/// The weights are those of a logistic regression over the sample's questions, rounded; with scores of words and with a model's
/// similarities it finds the same ones, but for the lead in scores, of which similarities have hardly any. A shop would rather
/// say nothing than something wrong: see docs/retrieval.md for what other thresholds do.
enum Confidence {
    /// Below it the answer is that nothing was found.
    static let enough = 0.65
    /// A document that retrieval did not put first has to be so much surer than the first.
    static let notFirst = 2.0
    /// The least share of the question that must be spoken of, whatever else is said for a document.
    static let leastShare = 0.2
    private static let bias = -1.94
    /// By how much its score is above the next document's.
    private static let scoreLead = 5.4
    private static let mostScoreLead = 0.4
    private static let share = 2.3
    /// What stands in for a term of the question counts for it.
    static let standIn = 0.6
    /// How many terms more it has than the next.
    private static let termLead = 0.42
    /// By how much more of its title the question says than of the next document's.
    private static let titleLead = 1.4
    /// A term that is in a title or heading.
    private static let heading = 0.58
    private static let mostHeading = 3
    /// It has all of the question, word for word.
    private static let whole = 0.3
    /// It has days and hours where the question is how long.
    private static let kind = 0.53

    /// The one that answers; nil when none does.
    ///
    /// - Parameter documents: in the order of their first passages.
    static func choice(of documents: [DocumentMatches], weights: [Float]) -> Int? {
        var best: (document: Int, confidence: Double)?
        for index in documents.indices {
            guard let sure = of(index, among: documents, weights) else { continue }
            let confidence = sure - (index == 0 ? 0 : notFirst)
            if confidence > best?.confidence ?? enough { best = (index, confidence) }
        }
        return best?.document
    }

    private static func of(_ index: Int, among documents: [DocumentMatches], _ weights: [Float]) -> Double? {
        let document = documents[index]
        var others = (score: 0.0, terms: 0, titleShare: 0.0)
        for other in documents.indices where other != index {
            others.score = max(others.score, documents[other].score)
            others.terms = max(others.terms, documents[other].all.nonzeroBitCount)
            others.titleShare = max(others.titleShare, documents[other].titleShare)
        }
        let own = document.text.own | document.title.own
        let said = bits(document.all).reduce(0) {
            $0 + Double(weights[$1]) * (own & 1 << UInt64($1) != 0 ? 1 : standIn)
        }
        let share = said / max(Double(weights.reduce(0, +)), .leastNonzeroMagnitude)
        guard share >= leastShare else { return nil }
        // Whoever put a document first, a reranker say, knew more than its score. One alone leads nobody.
        let lead =
            documents.count == 1
            ? 0 : min(mostScoreLead, max(index == 0 ? 0 : -mostScoreLead, document.score - others.score))
        return bias + scoreLead * lead + Self.share * share
            + termLead * Double(document.all.nonzeroBitCount - others.terms)
            + titleLead * (document.titleShare - others.titleShare)
            + heading * Double(min(document.title.any.nonzeroBitCount, mostHeading))
            + (document.text.isOfKind ? kind : 0) + (share >= 0.999 ? whole : 0)
    }
}

/// The indices of the bits that are set.
func bits(_ set: UInt64) -> some Sequence<Int> {
    sequence(state: set) { rest -> Int? in
        guard rest != 0 else { return nil }
        defer { rest &= rest - 1 }
        return rest.trailingZeroBitCount
    }
}
