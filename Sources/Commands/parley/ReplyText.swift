import ChatJobs

/// Prints a reply for people.
func show(_ reply: Reply, answerShown: Bool = false) {
    if let error = reply.error {
        let later = error.retryable ? ", may be tried again" : ""
        printError(oneLine("\(reply.status.rawValue): \(error.message) (\(error.code)\(later))"))
        return
    }
    if let reference = reply.answerReference {
        let place = "\(reference.url), \(reference.bytes) bytes, until \(reference.expires.rfc3339)"
        printLine(oneLine("\(answerShown ? "" : "The answer is too long for a reply: ")\(place)"))
    } else if !answerShown {
        printLine(reply.answer ?? "")
    }
    if !reply.sources.isEmpty {
        printLine("\nSources:")
        for (index, source) in reply.sources.enumerated() {
            printLine("  [\(index + 1)] \(oneLine(source.id))  \(oneLine(source.title))  (\(rounded(source.score)))")
        }
    }
    let timings = reply.timings
    printLine(
        "\n\(oneLine(reply.model ?? "")), \(rounded(timings.total, decimals: 0)) ms "
            + "(queued \(rounded(timings.queued)), retrieve \(rounded(timings.retrieve)), generate \(rounded(timings.generate)))"
    )
}

/// A number with two decimals or none; as a program writes it when it is beyond all that is measured: what others stored
/// may be any number.
func rounded(_ value: Double, decimals: Int = 2) -> String {
    guard abs(value) < 1e12 else { return "\(value)" }
    let hundredths = Int((value * 100).rounded())
    if decimals == 0 { return "\(Int(value.rounded()))" }
    let cents = abs(hundredths) % 100
    return "\(hundredths < 0 ? "-" : "")\(abs(hundredths) / 100).\(cents < 10 ? "0" : "")\(cents)"
}
