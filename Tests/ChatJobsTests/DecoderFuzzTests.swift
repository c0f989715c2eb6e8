import ChatJobs
import Foundation
import Testing

/// The decoder under hostile input, from seeds.
///
/// `PARLEY_FUZZ` says how many inputs (default 4,000); a failure names its seed.
@Suite struct DecoderFuzzTests {
    @Test func everyInputIsAJobWithinBoundsOrARefusalWithAReason() {
        let count = ProcessInfo.processInfo.environment["PARLEY_FUZZ"].flatMap(UInt64.init) ?? 4000
        var jobs = 0
        for seed in 0..<count {
            var mutator = Mutator(seed: seed)
            let (body, envelope) = mutator.message()
            do throws(JobDecoder.Refusal) {
                let job = try decoder.decode(body, envelope, inflate: Self.inflate)
                jobs += 1
                if let problem = Self.problem(job) {
                    Issue.record("seed \(seed): \(problem)")
                    return
                }
            } catch {
                if let problem = Self.problem(error) {
                    Issue.record("seed \(seed): \(problem) in \(error)")
                    return
                }
            }
        }
        // Mutations that all end in the first check would test little.
        #expect(jobs > Int(count) / 20)
        #expect(jobs < Int(count))
    }

    @Test func tenThousandLevelsCostNoStack() {
        for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
            let deep = String(repeating: open, count: 10_000) + "1" + String(repeating: close, count: 10_000)
            for text in [deep, body(#""metadata":\#(deep)"#), String(repeating: open, count: 10_000)] {
                #expect(throws: JobDecoder.Refusal.self) { try decode(text) }
            }
        }
    }

    private static func inflate(_ body: [UInt8], _ limit: Int) throws(JobFailure) -> [UInt8] {
        guard body.count % 2 == 0 else { throw JobFailure(.invalidJob, "not gzip") }
        return Array(body.prefix(limit))
    }

    private static func problem(_ job: Job) -> String? {
        let texts = [job.query, job.userID, job.tenant, job.agent, job.options.model] + job.history.map(\.content)
        if texts.contains(where: { $0?.utf8.contains(0) ?? false }) { return "NUL in a text" }
        if job.query.utf8.count > decoder.maxQuery { return "query too long" }
        for name in [job.userID, job.tenant, job.agent, job.options.model] where (name?.utf8.count ?? 0) > 256 {
            return "name too long"
        }
        if JobID(job.id.text) == nil { return "bad id" }
        if job.history.count > JobDecoder.maxTurns { return "history too long" }
        if !(job.options.temperature.map { (0...2).contains($0) } ?? true) { return "temperature" }
        if !(job.options.maxTokens.map { (1...1_000_000).contains($0) } ?? true) { return "max_tokens" }
        if !(job.options.topK.map { (1...64).contains($0) } ?? true) { return "top_k" }
        if (job.metadata?.count ?? 0) > decoder.ceilings.metadata { return "metadata too large" }
        // What was accepted can be written and read again.
        guard let again = try? decoder.decode(job.encoded(), Envelope(), inflate: inflate) else { return "not again" }
        if again.query != job.query || again.history != job.history || again.options != job.options
            || again.metadata != job.metadata || again.deadline != job.deadline || again.notBefore != job.notBefore
        {
            return "changed when written and read again"
        }
        return nil
    }

    private static func problem(_ refusal: JobDecoder.Refusal) -> String? {
        let message = refusal.failure.message
        if message.isEmpty { return "no message" }
        if message.utf8.count > 800 { return "a message of \(message.utf8.count) bytes" }
        if message.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            return "a control character in the message"
        }
        switch refusal.failure.code {
        case .invalidJob, .unsupportedMediaType, .tooLarge: return nil
        default: return "the code \(refusal.failure.code)"
        }
    }
}
