import ChatJobs
import ParleyHTTP
import Synchronization

extension ChatCompletionsModel {
    /// The most often that a request is put otherwise because the server refuses something in it.
    private static let mostForms = 8

    /// Asks, and asks again at once when the server refuses what can be left out or said otherwise: within one attempt of
    /// the job and its time. What helped is remembered for the model.
    ///
    /// - Parameter begun: how far the answer had come that the last call failed in; nil when the call was refused, or
    ///   nothing of it was sent.
    /// - Returns: also which passages the model was shown, and how many tokens were spared it.
    func exchange(
        _ request: GenerationRequest, _ failures: FailureMapping, _ onDelta: DeltaHandler?,
        _ begun: inout AnswerReader?
    ) async throws(JobFailure) -> (reader: AnswerReader, offered: [Source], spared: Int) {
        let asked = asked(request)
        let began = ContinuousClock.now
        var forms = [memory.form(of: asked)]
        while true {
            let form = forms[forms.count - 1]
            let left = forms.count == 1 ? request.timeout : request.timeout - (.now - began)
            guard left > .zero else {
                throw JobFailure(.modelTimeout, "no time was left to ask the model at \(completionsURL)")
            }
            let (message, sent, offered, spared) = outgoing(
                request, form, wantsStream: onDelta != nil || behaviour.alwaysStreams, within: left)
            let reader = AnswerReader(
                failures, keepsThinking: behaviour.keepsThinking,
                expectation: memory.beginsInThought(asked) ? .yes : .init(ofModel: asked))
            do throws(ExchangeError) {
                let answered = try await ask(consume message, reader, failures, onDelta, &begun)
                if forms.count > 1 { memory.remember(form, of: asked) }
                return (answered, offered, spared)
            } catch {
                switch error {
                case .failed(let failure): throw failure
                case .refused(let refusal):
                    guard let next = form.adapted(to: refusal, of: sent), !forms.contains(next),
                        forms.count < Self.mostForms
                    else { throw failures.failure(refusal) }
                    logger.debug(
                        "the model's server refuses a parameter", metadata: ["answer": "\(failures.failure(refusal))"])
                    forms.append(next)
                }
            }
        }
    }

    /// The prompt is made here and forgotten, and made again if need be: while the model thinks, most of what a job takes
    /// would else be its prompt, several times.
    @inline(never)
    private func outgoing(
        _ request: GenerationRequest, _ form: RequestForm, wantsStream: Bool, within limit: Duration
    ) -> (HTTPRequest, RequestForm.Sent, offered: [Source], spared: Int) {
        let (messages, offered, spared) = prompt.prompt(for: request)
        let sent = contents(request, messages, form, wantsStream: wantsStream)
        var message = httpRequest(request, messages, form, sent)
        message.timeouts = HTTPTimeouts(total: limit)
        return (message, sent, offered, spared)
    }

    /// Sends one request and reads the answer as it comes, up to its end and what belongs to it.
    ///
    /// - Parameter message: nobody holds it while the answer is waited for.
    private func ask(
        _ message: consuming HTTPRequest, _ reader: AnswerReader, _ failures: FailureMapping, _ onDelta: DeltaHandler?,
        _ begun: inout AnswerReader?
    ) async throws(ExchangeError) -> AnswerReader {
        begun = nil
        let response: HTTPStreamedResponse
        do throws(HTTPError) { response = try await http.stream(message) } catch {
            if error.wasSent { begun = reader }
            throw .failed(failures.failure(error))
        }
        guard response.status == 200 || response.status == 201 else {
            // The status says enough when the body cannot be read. Some servers repeat the whole prompt in it.
            let body = (try? await response.collect(upTo: Self.maxBodyBytes)) ?? []
            throw .refused(Refusal(status: response.status, headers: response.headers, error: ServerError(body)))
        }
        var reader = reader
        do throws(ExchangeError) {
            try await read(response, &reader, failures, onDelta)
            return reader
        } catch {
            if reader.mayCost { begun = reader }
            guard case .refused(var refusal) = error else { throw error }
            refusal.headers = response.headers
            throw .refused(refusal)
        }
    }

    private func read(
        _ response: HTTPStreamedResponse, _ reader: inout AnswerReader, _ failures: FailureMapping,
        _ onDelta: DeltaHandler?
    ) async throws(ExchangeError) {
        var chunks = response.body.makeAsyncIterator()
        // A body of known length ends by itself.
        let mayStayOpen = response.header("content-length") == nil
        while !reader.isDone, !(mayStayOpen && reader.hasEnded) {
            let chunk: [UInt8]?
            var broken: HTTPError?
            do throws(HTTPError) { chunk = try await chunks.next() } catch {
                if error.isCancelled { throw .failed(failures.failure(error)) }
                chunk = nil
                broken = error
            }
            guard let chunk else {
                // Broken or ended: an answer that has come whole is there, whatever became of the connection.
                let added = try reader.end(isBroken: broken != nil)
                if let broken, !reader.hasEnded { throw .failed(failures.failure(broken)) }
                return try await deliver(added, onDelta)
            }
            // One piece for all that has arrived: no more messages than reads.
            try await deliver(reader.feed(chunk), onDelta)
        }
        if reader.isDone { return drain(chunks) }
        let added: String
        (reader, added) = try await readTail(chunks, reader)
        try await deliver(added, onDelta)
        if Task.isCancelled { throw .failed(failures.cancelled) }
    }

    private func deliver(_ delta: String, _ onDelta: DeltaHandler?) async throws(ExchangeError) {
        guard let onDelta, !delta.isEmpty else { return }
        do throws(JobFailure) { try await pass(delta, to: onDelta) } catch { throw .failed(error) }
    }

    /// Reads what follows an answer's end, usage and `[DONE]`, while it does not keep the answer waiting for longer than
    /// ``patience``. Text may follow, too, from servers that end every piece; then the time begins anew.
    private func readTail(
        _ chunks: sending HTTPBody.AsyncIterator, _ reader: AnswerReader
    ) async throws(ExchangeError) -> (AnswerReader, added: String) {
        let progress = Progress(reader.answer)
        let tail = Task { () -> Result<(AnswerReader, added: String), ExchangeError> in
            var chunks = chunks
            var reader = reader
            var added = ""
            do throws(ExchangeError) {
                while !reader.isDone, let chunk = try? await chunks.next() {
                    added += try reader.feed(chunk)
                    progress.note(reader.answer)
                }
                if !reader.isDone { added += try reader.end() }
            } catch {
                // What comes behind an answer takes nothing from it, but for an error that the server declares.
                if case .refused = error { return .failure(error) }
            }
            return .success((reader, added))
        }
        let watch = Task {
            var seen = progress.pieces
            while (try? await Task.sleep(for: progress.hasText ? Self.patience : Self.patienceWithoutText)) != nil {
                let pieces = progress.pieces
                if pieces == seen { return tail.cancel() }
                seen = pieces
            }
        }
        let result = await withTaskCancellationHandler {
            await tail.value
        } onCancel: {
            tail.cancel()
        }
        watch.cancel()
        return try result.get()
    }

    /// How far an answer has come, for whom does not read it.
    private final class Progress: Sendable {
        private let state: Mutex<(pieces: Int, hasText: Bool)>

        init(_ answer: ChatAnswer) { state = Mutex((answer.pieces, answer.hasText)) }

        var pieces: Int { state.withLock { $0.pieces } }
        var hasText: Bool { state.withLock { $0.hasText } }

        func note(_ answer: ChatAnswer) { state.withLock { $0 = (answer.pieces, answer.hasText) } }
    }

    /// Reads to the end of the body behind `[DONE]`, so that the connection can be used again.
    ///
    /// A task of its own: the answer does not wait for a server that is slow to close. The request's total timeout
    /// ends it.
    private func drain(_ chunks: sending HTTPBody.AsyncIterator) {
        Task {
            var chunks = chunks
            var left = 1 << 20
            while left > 0, let chunk = try? await chunks.next() { left -= chunk.count }
        }
    }
}
