import ChatJobs

extension PromptTemplate {
    /// The turns that fit, as messages of alternating roles beginning with the user.
    func conversation(_ history: [Turn], query: String, _ fence: Fence) -> [ChatMessage] {
        var turns = history[...]
        if let last = turns.last, last.role == .user, last.content == query { turns.removeLast() }
        var messages: [ChatMessage] = []
        for turn in newest(of: turns) {
            let message = Self.message(turn, fence)
            if let last = messages.last, last.role == message.role {
                messages[messages.count - 1].content += "\n\n" + message.content
            } else if messages.isEmpty, message.role == .assistant {
                continue
            } else {
                messages.append(message)
            }
        }
        return messages
    }

    /// The newest turns within the budget, oldest first; the newest one is cut when it alone is larger.
    private func newest(of turns: ArraySlice<Turn>) -> [Turn] {
        var left = historyTokens
        var kept: [Turn] = []
        for var turn in turns.reversed() where !turn.content.isEmpty {
            var cost = TokenEstimate.tokens(in: turn.content) + TokenEstimate.perMessage
            if cost > left {
                guard kept.isEmpty, left > TokenEstimate.perMessage + 1 else { break }
                turn.content = TokenEstimate.prefix(of: turn.content, tokens: left - TokenEstimate.perMessage - 1) + "…"
                cost = left
            }
            left -= cost
            kept.append(turn)
        }
        return kept.reversed()
    }

    private static func message(_ turn: Turn, _ fence: Fence) -> ChatMessage {
        switch turn.role {
        case .user: ChatMessage(role: .user, content: Quotation.neutralised(turn.content))
        case .assistant: ChatMessage(role: .assistant, content: Quotation.neutralised(turn.content))
        case .system: ChatMessage(role: .user, content: fence.note(turn.content))
        }
    }
}
