/// How many tokens a language model will make of a text, roughly and without its vocabulary: 4.1 letters of an
/// alphabet or 1.6 Chinese characters a token, so that 220 tokens are some 900 or 350 characters.
enum TokenEstimate {
    /// In thousandths of a token.
    static func milliTokens(_ character: Character) -> Int {
        character.unicodeScalars.reduce(0) { $0 + ($1.value < 0x2E80 ? 245 : 630) }
    }

    /// In thousandths of a token.
    static func milliTokens(_ text: some StringProtocol) -> Int {
        text.unicodeScalars.reduce(0) { $0 + ($1.value < 0x2E80 ? 245 : 630) }
    }
}
