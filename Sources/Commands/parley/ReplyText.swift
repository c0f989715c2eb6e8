import ChatJobs
import Glibc

/// Prints a reply for people.
func show(_ reply: Reply, answerShown: Bool = false) {
    if let error = reply.error {
        printError(
            "\(reply.status.rawValue): \(error.message) (\(error.code)\(error.retryable ? ", may be tried again" : ""))"
        )
        return
    }
    if !answerShown { print(reply.answer ?? "") }
    if !reply.sources.isEmpty {
        print("\nSources:")
        for (index, source) in reply.sources.enumerated() {
            print("  [\(index + 1)] \(source.id)  \(source.title)  (\(rounded(source.score)))")
        }
    }
    let timings = reply.timings
    print(
        "\n\(reply.model ?? ""), \(Int(timings.total.rounded())) ms "
            + "(queued \(rounded(timings.queued)), retrieve \(rounded(timings.retrieve)), generate \(rounded(timings.generate)))"
    )
    flushOutput()
}

/// Two decimals.
func rounded(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    let cents = abs(hundredths) % 100
    return "\(hundredths < 0 ? "-" : "")\(abs(hundredths) / 100).\(cents < 10 ? "0" : "")\(cents)"
}

func flushOutput() { fflush(nil) }
