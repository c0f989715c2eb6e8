import ParleyJSON

/// What a message, or a piece of one, says: its text, and apart from it the model's thinking and its refusal.
struct Content: Sendable {
    var text = ""
    var thinking = ""
    var refusal = ""

    init(text: String, thinking: String, refusal: String) {
        self.text = text
        self.thinking = thinking
        self.refusal = refusal
    }

    init(_ part: JSONElement) throws(UnreadableContent) {
        // DeepSeek, Qwen and most servers; OpenRouter, Groq and newer vLLM; Ollama.
        for name in ["reasoning_content", "reasoning", "thinking"] where thinking.isEmpty {
            thinking = part[name]?.string ?? ""
        }
        refusal = part["refusal"]?.string ?? ""
        if let content = part["content"] { try read(content) }
    }

    /// A string, or parts: `{"type": "text", "text": …}`, thinking, a refusal. Parts of other kinds are no text.
    private mutating func read(_ content: JSONElement) throws(UnreadableContent) {
        switch content.kind {
        case .null: break
        case .string: text += content.string ?? ""
        case .array: for part in content.elements { try read(part) }
        case .object:
            switch content["type"]?.string ?? "text" {
            case "text", "output_text": text += Self.text(of: content["text"])
            case "thinking", "reasoning", "reasoning_text": thinking += Self.thought(content)
            case "refusal": refusal += content["refusal"]?.string ?? ""
            default: break
            }
        case .number, .true, .false: throw UnreadableContent()
        }
    }

    private static func text(of value: JSONElement?) -> String { value?.string ?? value?["value"]?.string ?? "" }

    private static func thought(_ part: JSONElement) -> String {
        for name in ["thinking", "reasoning", "text"] {
            guard let value = part[name] else { continue }
            return value.string ?? value.elements.map { text(of: $0["text"]) }.joined()
        }
        return ""
    }
}
