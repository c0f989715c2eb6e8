import ChatJobs

/// Answers with the passages' own best sentences and cites them: no server, no invention.
///
/// The answer is one to three sentences of one document, about 400 characters at most, each followed by the number of its passage;
/// ``Generation/sources`` are the passages quoted, `[1]` the first. When no document's passages speak of enough of what was
/// asked, or none stands out, it says that it found nothing, in Chinese or in English, whichever the question is in. It
/// knows the words that the search knows, and what stands in for them, not meaning.
package struct ExtractiveModel: LanguageModel {
    static let url = "builtin:extractive"

    package init() {}

    /// Works on Swift's own threads, not on the caller's: an I/O loop has better things to do for 100 µs.
    @concurrent package func generate(
        _ request: GenerationRequest, onDelta: DeltaHandler?
    ) async throws(JobFailure) -> Generation {
        let (pieces, sources) = compose(request)
        if let onDelta {
            for piece in pieces { try await pass(piece, to: onDelta) }
        }
        let answer = pieces.joined()
        let read = request.passages.reduce(TokenEstimate.tokens(in: request.query)) {
            $0 + TokenEstimate.tokens(in: $1.text)
        }
        return Generation(
            answer: answer, model: Self.url,
            usage: Usage(promptTokens: read, completionTokens: TokenEstimate.tokens(in: answer)), sources: sources)
    }

    package func check() async -> String? { nil }

    /// The answer in pieces, one a sentence, and the passages they come from.
    func compose(_ request: GenerationRequest) -> (pieces: [String], sources: [Source]) {
        let question = Question(request.query)
        var candidates: [Candidate] = []
        var documents: [DocumentMatches] = []
        var places: [Substring: Int] = [:]
        for (index, passage) in request.passages.enumerated() {
            let id = passage.id.lastIndex(of: "#").map { passage.id[..<$0] } ?? passage.id[...]
            let place = places[id] ?? documents.count
            places[id] = place
            if place == documents.count { documents.append(DocumentMatches()) }
            documents[place].passages.append(index)
            if passage.score.isFinite { documents[place].score = max(documents[place].score, passage.score) }
            documents[place].title.add(question.matches(in: passage.title))
            documents[place].titleShare = question.terms.share(ofTitle: passage.title)
            for sentence in sentences(of: passage, index, question) {
                documents[place].text.add(sentence.matches)
                candidates.append(sentence)
            }
        }
        var chosen: [Candidate] = []
        if let choice = Confidence.choice(of: documents, weights: question.terms.weights) {
            let own = candidates.filter { documents[choice].passages.contains($0.passage) }
            chosen = SentenceSelection(own, among: candidates, weights: question.terms.weights).chosen()
        }
        guard !chosen.isEmpty else {
            return ([question.isChinese ? NothingFound.chinese : NothingFound.english], [])
        }
        return cited(chosen, from: request.passages)
    }

    /// Each sentence with its citation; one citation for sentences of one passage that follow each other.
    private func cited(_ chosen: [Candidate], from passages: [Source]) -> (pieces: [String], sources: [Source]) {
        var pieces: [String] = []
        var sources: [Source] = []
        for (index, candidate) in chosen.enumerated() {
            let isFirst = index == 0 || chosen[index - 1].passage != candidate.passage
            let isLast = index + 1 == chosen.count || chosen[index + 1].passage != candidate.passage
            if isFirst { sources.append(passages[candidate.passage]) }
            let text = shortened(candidate.text)
            var piece = index == 0 ? text : (needsSpace(before: text, isFirst: isFirst) ? " " : "") + text
            if isLast { piece += " [\(sources.count)]" }
            pieces.append(piece)
        }
        return (pieces, sources)
    }

    /// Chinese sentences follow each other without a space.
    private func needsSpace(before text: String, isFirst: Bool) -> Bool {
        isFirst || (text.utf8.first ?? 0) < 0xE3
    }

    private func shortened(_ text: String) -> String {
        guard text.count > SentenceSelection.maxCharacters else { return text }
        var cut = text.prefix(SentenceSelection.maxCharacters)
        if let space = cut.lastIndex(of: " "), cut.distance(from: space, to: cut.endIndex) < 40 { cut = cut[..<space] }
        return cut + "…"
    }

    private func sentences(of passage: Source, _ index: Int, _ question: Question) -> [Candidate] {
        var text = passage.text
        return text.withUTF8 { bytes in
            return SentenceSplitter(bytes, title: passage.title).sentences.enumerated().map { position, range in
                let matches = question.terms.matches(in: UnsafeBufferPointer(rebasing: bytes[range]))
                return Candidate(passage: index, position: position, text: joined(bytes[range]), matches: matches)
            }
        }
    }

    /// A sentence on one line: line breaks (and the indentation behind them) become a space, or nothing between
    /// Chinese characters.
    private func joined(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        if bytes.first == UInt8(ascii: "|"), bytes.last == UInt8(ascii: "|") { return tableRow(bytes) }
        guard bytes.contains(where: { $0 < 0x20 }) else { return String(decoding: bytes, as: UTF8.self) }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var pending = false
        for byte in bytes {
            if byte < 0x20 || byte == 0x20 && pending {
                pending = true
                continue
            }
            if pending {
                if result.last.map({ $0 < 0x80 }) == true || byte < 0x80 { result.append(0x20) }
                pending = false
            }
            result.append(byte)
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// `| Phones | 20 W |` as `Phones – 20 W`.
    private func tableRow(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        let cells = bytes.split(separator: UInt8(ascii: "|")).map { cell in
            let text = cell.drop { $0 == 0x20 }
            return String(
                decoding: text.prefix((text.lastIndex { $0 != 0x20 } ?? text.startIndex - 1) - text.startIndex + 1),
                as: UTF8.self)
        }
        return cells.filter { !$0.isEmpty }.joined(separator: " – ")
    }
}
