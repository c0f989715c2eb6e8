import Answering
import ChatJobs
import Generation

/// A model's batch interface as the port of ``BatchOffice``.
package struct ModelBatches: BatchService {
    let batches: ChatBatches

    package init(_ batches: ChatBatches) { self.batches = batches }

    private static func name(_ number: Int, _ batch: String) -> String { "\(batch)-\(number)" }

    private static func request(_ job: Job, _ passages: [Source]) -> GenerationRequest {
        GeneratedAnswers.request(job, passages, .seconds(86_400))
    }

    package func line(
        _ number: Int, of batch: String, _ job: Job, _ passages: [Source]
    ) -> (bytes: [UInt8], draft: BatchDraft) {
        let line = batches.line(Self.request(job, passages), name: Self.name(number, batch))
        return (line.bytes, BatchDraft(sources: line.offered, sparedTokens: line.spared))
    }

    package func upload(_ lines: [[UInt8]], batch: String) async throws(JobFailure) -> String {
        try await batches.upload(lines, name: batch)
    }

    package func create(_ file: String, batch: String) async throws(BatchCreationFailure) -> String {
        do throws(ChatBatches.CreationFailure) { return try await batches.create(file, name: batch) } catch {
            switch error {
            case .refused(let failure): throw .refused(failure)
            case .unclear(let failure): throw .unclear(failure)
            }
        }
    }

    package func find(_ batch: String) async throws(JobFailure) -> String? { try await batches.find(batch)?.id }

    package func look(at id: String, batch name: String) async throws(JobFailure) -> BatchProgress {
        guard let batch = try await batches.describe(id) else { return .unknown }
        guard batch.hasEnded else { return .running }
        var lines: [Int: [UInt8]] = [:]
        for (named, line) in try await batches.results(of: batch) where named.hasPrefix(name + "-") {
            if let number = Int(named.dropFirst(name.utf8.count + 1)) { lines[number] = line }
        }
        return .ended(
            lines: lines, failure: batch.failure, isCutShort: batch.isCutShort,
            isLacking: batch.failure == nil && !batch.isCutShort && lines.count < max(1, batch.questions ?? 1))
    }

    package func cancel(_ id: String) async { await batches.cancel(id) }

    package func answer(_ line: [UInt8], to job: Job, _ draft: BatchDraft) -> BatchAnswer {
        switch batches.result(line, of: Self.request(job, draft.sources)) {
        case .failed(let failure): return .failed(failure)
        case .unasked: return .unasked
        case .answered(let made):
            var usage = made.usage
            if let rewriting = draft.rewriting { usage.add(rewriting) }
            return .answered(
                Answer(
                    text: made.answer, model: made.model, usage: usage, finishReason: made.finishReason,
                    sources: draft.sources, sparedTokens: draft.sparedTokens))
        }
    }
}
