import ParleyJSON
import ParleyPrimitives

/// Reads the vectors out of an answer to `POST /v1/embeddings`, in the shapes that servers give it. What could be read in
/// two ways is refused: a wrong vector is worse than none.
enum EmbeddingAnswer {
    struct Problem: Error { let text: String }

    static func vectors(_ answer: JSONElement, of count: Int) -> Result<[Embedding], Problem> {
        do throws(Problem) {
            return .success(try read(answer, count))
        } catch {
            return .failure(error)
        }
    }

    private static func read(_ answer: JSONElement, _ count: Int) throws(Problem) -> [Embedding] {
        let rows = rows(answer, count)
        guard rows.count == count else { throw Problem(text: "it sent \(rows.count) vectors for \(count) texts") }
        var vectors = [Embedding?](repeating: nil, count: count)
        for (position, row) in rows.enumerated() {
            let given = row["index"].flatMap { $0.isNull ? nil : $0 }
            let index = given.map { $0.int ?? $0.string.flatMap { Int($0) } ?? -1 } ?? position
            guard vectors.indices.contains(index), vectors[index] == nil else {
                throw Problem(text: "it sent an index twice, or for a text that was not asked")
            }
            guard let vector = vector(row.kind == .object ? row["embedding"] ?? row["values"] : row) else {
                throw Problem(text: "the embedding of text \(index) is neither numbers nor base64")
            }
            vectors[index] = vector
        }
        let complete = vectors.compactMap { $0 }
        guard let first = complete.first, complete.allSatisfy({ $0.count == first.count }) else {
            throw Problem(text: "its vectors differ in length")
        }
        return complete
    }

    /// `{"data":[{"embedding":…,"index":0}]}` as OpenAI has it; `{"embeddings":[…]}`, `{"embeddings":{"float":[…]}}`, a
    /// list at the top, and for one text `{"embedding":[…]}`.
    private static func rows(_ answer: JSONElement, _ count: Int) -> [JSONElement] {
        if answer.kind == .array { return list(answer, count) }
        if let data = answer["data"], !data.isNull { return list(data, count) }
        if let embeddings = answer["embeddings"], !embeddings.isNull {
            return list(embeddings["float"] ?? embeddings, count)
        }
        return answer["embedding"].map { [$0] } ?? []
    }

    /// One text's vector may stand there without the list around it.
    private static func list(_ json: JSONElement, _ count: Int) -> [JSONElement] {
        let isLone = json.kind == .object || json.isNumbers && json.count > 0
        return count == 1 && isLone ? [json] : json.elements
    }

    /// Numbers, also as texts; one row of numbers in a list of its own; base64 of little-endian float32; or the JSON of
    /// one of the first two in a string.
    private static func vector(_ json: JSONElement?) -> Embedding? {
        guard var json else { return nil }
        // Cohere's by type, Google's own.
        if json.kind == .object { json = json["float"] ?? json["values"] ?? json }
        if json.kind == .array {
            if let vector = Embedding(json) { return vector }
            guard let first = json.elements.first else { return nil }
            if first.kind == .array { return json.count == 1 ? Embedding(first) : nil }
            return written(json.elements)
        }
        guard let text = json.string else { return nil }
        return base64(text) ?? inside(text)
    }

    private static func written(_ elements: [JSONElement]) -> Embedding? {
        let numbers = elements.compactMap { $0.string.flatMap { Float($0) } }
        return numbers.count == elements.count && numbers.allSatisfy(\.isFinite) ? Embedding(numbers) : nil
    }

    private static func base64(_ text: String) -> Embedding? {
        guard let bytes = decodeBase64(text), !bytes.isEmpty, bytes.count % 4 == 0 else { return nil }
        let numbers = stride(from: 0, to: bytes.count, by: 4).map { at in
            let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
            return Float(bitPattern: bits)
        }
        return numbers.allSatisfy(\.isFinite) ? Embedding(numbers) : nil
    }

    private static func inside(_ text: String) -> Embedding? {
        let bytes = Array(text.utf8)
        guard bytes.contains(UInt8(ascii: ".")) || bytes.contains(UInt8(ascii: ",")) else { return nil }
        let array = text.contains("[") ? bytes : Array("[".utf8) + bytes + Array("]".utf8)
        return (try? JSONDocument(array)).flatMap { document in
            document.root.elements.first?.kind == .array && document.root.count == 1
                ? document.root.elements.first.flatMap(Embedding.init) : Embedding(document.root)
        }
    }
}
