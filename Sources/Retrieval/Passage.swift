import ChatJobs

/// A piece of a document, of a size that a model can be shown several of.
public struct Passage: Sendable, Equatable {
    /// The document's id, `#`, and the passage's place in it from 1: `returns.md#2`.
    public var id: String
    public var documentID: String
    /// From 1.
    public var ordinal: Int
    /// The document's title.
    public var title: String
    /// Title and section where the passage begins: `Returning goods › Steps`.
    public var heading: String
    public var text: String
    /// As the document says; nil when it does not.
    public var language: String?

    /// - Parameter id: made of the document's and the place in it when nil.
    public init(
        id: String? = nil, documentID: String, ordinal: Int, title: String, heading: String? = nil, text: String,
        language: String? = nil
    ) {
        self.id = id ?? "\(documentID)#\(ordinal)"
        self.documentID = documentID
        self.ordinal = ordinal
        self.title = title
        self.heading = heading ?? title
        self.text = text
        self.language = language
    }

    /// What is embedded: the heading, which says what the passage is about, and the text.
    public var embeddedText: String { "\(heading)\n\(text)" }
}

/// A passage and how near it is to a question.
public struct Match: Sendable, Equatable {
    public var passage: Passage
    /// Cosine similarity, higher is nearer. For `builtin:lexical` in a file index: the share of the question's words,
    /// weighed by how rare they are, that the passage has; 0 … 1.
    public var score: Float

    public init(passage: Passage, score: Float) {
        self.passage = passage
        self.score = score
    }

    /// The match as a reply shows it.
    public var source: Source {
        Source(id: passage.id, score: Double(score), title: passage.title, text: passage.text)
    }
}

/// One question to a ``VectorStore``.
public struct SearchQuery: Sendable, Equatable {
    /// Stores that index words look here; empty when only the vector is known.
    public var text: String
    /// Of any length: stores that compare unit vectors scale it.
    public var vector: Embedding

    public init(text: String = "", vector: Embedding) {
        self.text = text
        self.vector = vector
    }
}
