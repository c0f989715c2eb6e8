import ParleyHTTP

/// Turns texts into vectors whose inner products say how alike the texts are.
package protocol Embedder: Sendable {
    /// Names the model and whatever else its vectors depend on; stored in the index, so that vectors of two models are
    /// never compared: `builtin:lexical/2048/v1`, `text-embedding-3-small@https://api.openai.com/v1`. No secrets.
    var identity: String { get }
    /// Floats in a vector; nil until it is known.
    var dimension: Int? { get }
    /// One vector for each text, in order, in as few calls as the service allows. Not every service gives unit length:
    /// whoever needs it scales.
    func embed(_ texts: [String], timeout: Duration) async throws(RetrievalError) -> [Embedding]
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
/// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` naming what is allowed.
package func makeEmbedder(
    url: String, model: String? = nil, apiKey: String? = nil, http: HTTPClient
) throws(RetrievalError) -> any Embedder {
    if url == "builtin:lexical" { return LexicalEmbedder() }
    guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
        throw RetrievalError(
            .invalidSetting,
            "embeddings.url is \"\(withoutUserInfo(url))\": write builtin:lexical, or the base URL of an OpenAI-compatible service such as http://127.0.0.1:8080/v1"
        )
    }
    return try OpenAIEmbedder(baseURL: url, model: model, apiKey: apiKey, http: http)
}

/// A setting's URL as messages about the setting show it: its query, a tenant's name perhaps, is part of it.
func withoutUserInfo(_ url: String) -> String {
    guard let scheme = url.firstRange(of: "://") else { return url }
    let authority = url[scheme.upperBound...].prefix { !"/?#".contains($0) }
    guard let at = authority.lastIndex(of: "@") else { return url }
    return String(url[..<scheme.upperBound] + url[url.index(after: at)...])
}
