import ChatJobs

/// A piece of a document, of a size that a model can be shown several of.
package struct Passage: Sendable, Equatable {
    /// The document's id, `#`, and the passage's place in it from 1: `returns.md#2`.
    package var id: String
    package var documentID: String
    /// From 1.
    package var ordinal: Int
    /// The document's title.
    package var title: String
    /// Title and section where the passage begins: `Returning goods › Steps`.
    package var heading: String
    package var text: String
    /// As the document says; nil when it does not.
    package var language: String?
    /// Its document's.
    package var attributes: Attributes

    /// - Parameter id: made of the document's and the place in it when nil.
    package init(
        id: String? = nil, documentID: String, ordinal: Int, title: String, heading: String? = nil, text: String,
        language: String? = nil, attributes: Attributes = .init()
    ) {
        self.attributes = attributes
        self.id = id ?? "\(documentID)#\(ordinal)"
        self.documentID = documentID
        self.ordinal = ordinal
        self.title = title
        self.heading = heading ?? title
        self.text = text
        self.language = language
    }

    /// What is embedded: the heading, which says what the passage is about, and the text.
    package var embeddedText: String { "\(heading)\n\(text)" }
}

/// A passage and how near it is to a question.
package struct Match: Sendable, Equatable {
    package var passage: Passage
    /// Cosine similarity, higher is nearer. For `builtin:lexical` in a file index: the share of the question's words,
    /// weighed by how rare they are, that the passage has; 0 … 1.
    package var score: Float

    package init(passage: Passage, score: Float) {
        self.passage = passage
        self.score = score
    }

    /// The match as a reply shows it, and as a model sees it: its title says where in the document it stands.
    package var source: Source {
        Source(id: passage.id, score: Double(score), title: passage.heading, text: passage.text)
    }
}

/// One question to a ``VectorStore``.
package struct SearchQuery: Sendable, Equatable {
    /// Stores that index words look here; empty when only the vector is known.
    package var text: String
    /// Of any length: stores that compare unit vectors scale it.
    package var vector: Embedding
    /// The passages' words count beside their vectors, where the store knows them.
    package var isHybrid = false
    /// How likely it is, 0 … 1, that the documents of these agents, or in folders of these names, answer.
    package var folders: [String: Float] = [:]
    /// What may be found: of the passages that somebody owns none, unless it says whose.
    package var filter: PassageFilter

    package init(text: String = "", vector: Embedding, filter: PassageFilter = .init()) {
        self.text = text
        self.vector = vector
        self.filter = filter
    }
}
