/// What has been said of an answer, by one call or by several in turn, of which all but the last came to nothing: those of other
/// workers among them.
///
/// Whoever has had pieces is given only what goes on from there.
struct StreamedText {
    /// What earlier calls have said and was passed on.
    private var given = ""
    /// All that the present call has said.
    private(set) var said = ""
    /// The present call says something else than was passed on: no more is.
    private(set) var isBroken = false

    /// What those have had who were given pieces.
    var had: String { isBroken || said.utf8.count < given.utf8.count ? given : said }

    /// Another call begins.
    mutating func beginAnew() {
        given = had
        said = ""
        isBroken = false
    }

    /// - Returns: what is to be passed on of a piece.
    mutating func take(_ piece: String) -> String {
        let start = said.utf8.count
        said += piece
        if isBroken { return "" }
        let repeated = min(given.utf8.count - start, piece.utf8.count)
        guard repeated > 0 else { return piece }
        guard piece.utf8.prefix(repeated).elementsEqual(given.utf8.dropFirst(start).prefix(repeated)) else {
            isBroken = true
            return ""
        }
        return String(decoding: piece.utf8.dropFirst(repeated), as: UTF8.self)
    }

    /// What is left of an answer for those who have had pieces; nil when it begins otherwise.
    func rest(of answer: String) -> String? {
        let had = had
        guard answer.utf8.starts(with: had.utf8) else { return nil }
        return String(decoding: answer.utf8.dropFirst(had.utf8.count), as: UTF8.self)
    }
}
