import ParleyHTTP

/// What a text is: some models want questions and what answers them told apart.
package enum TextRole: Sendable { case question, passage }

/// Turns texts into vectors whose inner products say how alike the texts are.
package protocol Embedder: Sendable {
    /// Names the model and whatever else its vectors depend on; stored in the index, so that vectors of two models are
    /// never compared: `builtin:lexical/2048/v1`, `text-embedding-3-small@https://api.openai.com/v1`. No secrets.
    var identity: String { get }
    /// Floats in a vector; nil until it is known.
    var dimension: Int? { get }
    /// A vector or a failure for each text, in order, in as few calls as the service allows. A text that is refused is a
    /// failure of its own; any other failure is that of all texts that have no vector yet. Not every service gives unit
    /// length: whoever needs it scales.
    func embed(_ texts: [String], as role: TextRole, timeout: Duration) async -> [Result<Embedding, RetrievalError>]
    /// Sends another key from the next call on.
    func useKey(_ key: String) throws(RetrievalError)
}

extension Embedder {
    package func useKey(_ key: String) {}

    /// The vectors of `texts`, all of them.
    ///
    /// - Throws: the first text's failure.
    package func vectors(
        of texts: [String], as role: TextRole, timeout: Duration
    ) async throws(RetrievalError) -> [Embedding] {
        var vectors: [Embedding] = []
        for result in await embed(texts, as: role, timeout: timeout) { vectors.append(try result.get()) }
        return vectors
    }
}

/// What identities say about whether two embedders' vectors may be compared.
enum EmbedderIdentity {
    /// Equal, or the same model behind another address: moving a server does not change its vectors.
    static func matches(_ a: String, _ b: String) -> Bool {
        a == b || remoteModel(a).map { $0 == remoteModel(b) } == true
    }

    private static func remoteModel(_ identity: String) -> Substring? {
        guard let at = identity.firstRange(of: "@http") else { return nil }
        return identity[..<at.lowerBound]
    }
}

/// Makes the embedder that `embeddings.url` names.
///
/// - Parameters:
///   - url: `builtin:lexical`, or the base URL of an OpenAI-compatible service: `http://host:port/v1`.
///   - model: for such a service; nil leaves the choice to it.
///   - apiKey: sent as bearer token; nil or empty sends none.
///   - options: how such a service wants its texts.
/// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` naming what is allowed.
package func makeEmbedder(
    url: String, model: String? = nil, apiKey: String? = nil, options: EmbeddingOptions = .init(), http: HTTPClient
) throws(RetrievalError) -> any Embedder {
    if url == "builtin:lexical" { return LexicalEmbedder() }
    guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
        throw RetrievalError(
            .invalidSetting,
            "embeddings.url is \"\(withoutUserInfo(url))\": write builtin:lexical, or the base URL of an OpenAI-compatible service such as http://127.0.0.1:8080/v1"
        )
    }
    return try OpenAIEmbedder(baseURL: url, model: model, apiKey: apiKey, options: options, http: http)
}

/// A setting's URL as messages about the setting show it: its query, a tenant's name perhaps, is part of it.
func withoutUserInfo(_ url: String) -> String {
    guard let scheme = url.firstRange(of: "://") else { return url }
    let authority = url[scheme.upperBound...].prefix { !"/?#".contains($0) }
    guard let at = authority.lastIndex(of: "@") else { return url }
    return String(url[..<scheme.upperBound] + url[url.index(after: at)...])
}
