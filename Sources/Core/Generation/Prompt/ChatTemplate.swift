/// How a conversation becomes the one text that a model of some family was trained to go on from (`model.template`). Servers that
/// take chat messages do this themselves; those that take prompts do not.
package struct ChatTemplate: Sendable, Equatable {
    /// What stands around a message of each role; `nil` in front: the system message goes into the first of the user's.
    private let system: (before: String, after: String)?
    private let user: (before: String, after: String)
    private let assistant: (before: String, after: String)
    /// What the model goes on from.
    private let opening: String
    /// Where its answer ends.
    package let stops: [String]
    /// What only the operator and the template may say: in all other texts their first character is made another one.
    private let markers: [String]

    package let name: String

    package static func == (a: ChatTemplate, b: ChatTemplate) -> Bool { a.name == b.name }

    package static let names = ["chatml", "llama3", "mistral", "gemma", "phi3", "zephyr", "plain"]

    /// Nil when there is no template of that name.
    package init?(_ name: String) {
        self.name = name
        switch name {
        case "chatml":
            system = ("<|im_start|>system\n", "<|im_end|>\n")
            user = ("<|im_start|>user\n", "<|im_end|>\n")
            assistant = ("<|im_start|>assistant\n", "<|im_end|>\n")
            opening = assistant.before
            stops = ["<|im_end|>"]
            markers = ["<|"]
        case "llama3":
            func header(_ role: String) -> String { "<|start_header_id|>\(role)<|end_header_id|>\n\n" }
            system = (header("system"), "<|eot_id|>")
            user = (header("user"), "<|eot_id|>")
            assistant = (header("assistant"), "<|eot_id|>")
            opening = assistant.before
            stops = ["<|eot_id|>"]
            markers = ["<|"]
        case "mistral":
            system = nil
            user = ("[INST] ", " [/INST]")
            assistant = (" ", "</s>")
            opening = ""
            stops = ["</s>"]
            markers = ["[INST]", "[/INST]", "<s>", "</s>"]
        case "gemma":
            system = nil
            user = ("<start_of_turn>user\n", "<end_of_turn>\n")
            assistant = ("<start_of_turn>model\n", "<end_of_turn>\n")
            opening = assistant.before
            stops = ["<end_of_turn>"]
            markers = ["<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>"]
        case "phi3":
            system = ("<|system|>\n", "<|end|>\n")
            user = ("<|user|>\n", "<|end|>\n")
            assistant = ("<|assistant|>\n", "<|end|>\n")
            opening = assistant.before
            stops = ["<|end|>"]
            markers = ["<|"]
        case "zephyr":
            system = ("<|system|>\n", "</s>\n")
            user = ("<|user|>\n", "</s>\n")
            assistant = ("<|assistant|>\n", "</s>\n")
            opening = assistant.before
            stops = ["</s>"]
            markers = ["<|", "<s>", "</s>"]
        case "plain":
            system = ("", "\n\n")
            user = ("User: ", "\n")
            assistant = ("Assistant: ", "\n")
            opening = "Assistant:"
            stops = ["\nUser:"]
            markers = []
        default: return nil
        }
    }

    /// The prompt for a conversation, which ends with the user's word.
    package func prompt(for messages: [ChatMessage]) -> String {
        var text = ""
        text.reserveCapacity(messages.reduce(64) { $0 + $1.content.utf8.count + 40 })
        var folded = ""
        for message in messages {
            switch message.role {
            case .system:
                guard let system else {
                    folded = message.content + "\n\n"
                    continue
                }
                text += system.before + message.content + system.after
            case .user:
                text += user.before + folded + clean(message.content) + user.after
                folded = ""
            case .assistant: text += assistant.before + clean(message.content) + assistant.after
            }
        }
        return text + opening
    }

    private func clean(_ text: String) -> String {
        markers.reduce(text) { text, marker in
            // Most texts have none.
            guard text.contains(marker) else { return text }
            return text.replacingAll(marker, with: (marker.hasPrefix("<") ? "‹" : "⟦") + marker.dropFirst())
        }
    }
}
