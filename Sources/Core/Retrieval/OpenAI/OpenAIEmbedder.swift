import ParleyHTTP
import ParleyJSON
import Synchronization

/// Embeddings from any service with OpenAI's `POST /v1/embeddings`
/// (<https://platform.openai.com/docs/api-reference/embeddings/create>).
package final class OpenAIEmbedder: Embedder {
    /// Texts in one request; more are sent in several, one after another.
    static let batchSize = 256

    package let identity: String
    private let model: String?
    private let url: String
    private let service: Service
    private let knownDimension = Mutex<Int?>(nil)

    /// - Parameters:
    ///   - baseURL: up to and including `/v1`.
    ///   - model: nil leaves the choice to the service.
    ///   - apiKey: sent as bearer token; nil or empty sends none.
    /// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` when `baseURL` is not a URL.
    package init(baseURL: String, model: String?, apiKey: String?, http: HTTPClient) throws(RetrievalError) {
        do throws(HTTPError) {
            let base = try HTTPURL(baseURL)
            url = try base.appending("embeddings").string
            identity = "\(model ?? "default")@\(withoutUserInfo(baseURL))"
        } catch {
            throw RetrievalError(.invalidSetting, "embeddings.url: \(error.message)")
        }
        self.model = model
        var headers: [HTTPHeader] = []
        if let apiKey, !apiKey.isEmpty { headers.append(HTTPHeader(name: "Authorization", value: "Bearer \(apiKey)")) }
        service = Service(name: "the embedding service", http: http, headers: headers)
    }

    /// Known after the first answer.
    package var dimension: Int? { knownDimension.withLock { $0 } }

    package func embed(_ texts: [String], timeout: Duration) async throws(RetrievalError) -> [Embedding] {
        let deadline = ContinuousClock.now + timeout
        var vectors: [Embedding] = []
        vectors.reserveCapacity(texts.count)
        var start = 0
        while start < texts.count {
            let batch = texts[start..<min(start + Self.batchSize, texts.count)]
            let left = start == 0 ? timeout : deadline - .now
            guard left > .zero else {
                throw RetrievalError(.timedOut, "embedding \(texts.count) texts took more than \(timeout)")
            }
            vectors += try await embed(batch, timeout: left)
            start += batch.count
        }
        return vectors
    }

    private func embed(_ texts: ArraySlice<String>, timeout: Duration) async throws(RetrievalError) -> [Embedding] {
        let answer = try await service.json("POST", url, body: requestBody(texts), timeout: timeout)
        return try vectors(answer, of: texts.count)
    }

    private func requestBody(_ texts: ArraySlice<String>) -> [UInt8] {
        var writer = JSONWriter(capacity: texts.reduce(128) { $0 + $1.utf8.count + 8 })
        writer.object { json in
            json.member("model", model)
            json.key("input")
            json.array { list in for text in texts { list.string(text) } }
        }
        return writer.bytes
    }

    private func vectors(_ answer: JSONElement, of count: Int) throws(RetrievalError) -> [Embedding] {
        let rows = answer["data"]?.elements ?? []
        guard rows.count == count else {
            throw service.invalid("it sent \(rows.count) vectors for \(count) texts")
        }
        var vectors = [Embedding?](repeating: nil, count: rows.count)
        for (position, row) in rows.enumerated() {
            let index = row["index"]?.int ?? position
            guard vectors.indices.contains(index), vectors[index] == nil else {
                throw service.invalid("it sent the index \(index) twice or for a text that was not asked")
            }
            guard let vector = row["embedding"].flatMap(Self.vector) else {
                throw service.invalid("the embedding of text \(index) is neither numbers nor base64")
            }
            vectors[index] = vector
        }
        let complete = vectors.compactMap { $0 }
        guard let first = complete.first, complete.allSatisfy({ $0.count == first.count }) else {
            throw service.invalid("its vectors differ in length")
        }
        try remember(first.count)
        return complete
    }

    private func remember(_ count: Int) throws(RetrievalError) {
        let before = knownDimension.withLock { known in
            defer { if known == nil { known = count } }
            return known
        }
        guard before == nil || before == count else {
            throw RetrievalError(
                .incompatible, "\(identity) now makes vectors of \(count) numbers, before it made \(before ?? 0)")
        }
    }

    /// An array of numbers, or base64 of little-endian float32.
    private static func vector(_ json: JSONElement) -> Embedding? {
        if json.kind == .array { return Embedding(json) }
        guard json.kind == .string, let text = json.string, let bytes = decodeBase64(text), !bytes.isEmpty,
            bytes.count % 4 == 0
        else { return nil }
        let numbers = stride(from: 0, to: bytes.count, by: 4).map { at in
            let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
            return Float(bitPattern: bits)
        }
        return numbers.allSatisfy(\.isFinite) ? Embedding(numbers) : nil
    }
}

/// RFC 4648 §4, with or without padding; nil for anything else.
func decodeBase64(_ text: String) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(text.utf8.count / 4 * 3)
    var bits: UInt32 = 0
    var count = 0
    var padding = 0
    for byte in text.utf8 {
        let value: UInt32
        switch byte {
        case 0x41...0x5A: value = UInt32(byte - 0x41)
        case 0x61...0x7A: value = UInt32(byte - 0x61) + 26
        case 0x30...0x39: value = UInt32(byte - 0x30) + 52
        case UInt8(ascii: "+"): value = 62
        case UInt8(ascii: "/"): value = 63
        case UInt8(ascii: "="):
            padding += 1
            continue
        default: return nil
        }
        guard padding == 0 else { return nil }
        bits = bits << 6 | value
        count += 1
        if count % 4 == 0 {
            result.append(UInt8(truncatingIfNeeded: bits >> 16))
            result.append(UInt8(truncatingIfNeeded: bits >> 8))
            result.append(UInt8(truncatingIfNeeded: bits))
            bits = 0
        }
    }
    guard padding <= 2 else { return nil }
    switch count % 4 {
    case 0: break
    case 2: result.append(UInt8(truncatingIfNeeded: bits >> 4))
    case 3:
        result.append(UInt8(truncatingIfNeeded: bits >> 10))
        result.append(UInt8(truncatingIfNeeded: bits >> 2))
    default: return nil
    }
    return result
}
