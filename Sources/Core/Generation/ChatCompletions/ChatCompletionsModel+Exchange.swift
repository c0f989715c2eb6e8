import ChatJobs
import ParleyHTTP
import ParleyPrimitives
import Synchronization

extension ChatCompletionsModel {
    /// The most often that a request is put otherwise because the server refuses something in it.
    private static let mostForms = 8

    /// What has come of a call.
    struct Exchanged {
        var reader: Reading
        /// The passages that the model was shown.
        let offered: [Source]
        /// Tokens.
        let spared: Int
    }

    /// One way of asking.
    private final class Outgoing {
        private var message: HTTPRequest?
        let sent: RequestForm.Sent
        let offered: [Source]
        /// Tokens.
        let spared: Int
        let reader: Reading

        init(_ message: HTTPRequest, _ sent: RequestForm.Sent, offered: [Source], spared: Int, reader: Reading) {
            (self.message, self.sent, self.offered, self.spared, self.reader) = (message, sent, offered, spared, reader)
        }

        /// The message is nobody's while the answer is waited for.
        @inline(never)
        func takeMessage() -> HTTPRequest? {
            defer { message = nil }
            return message
        }
    }

    /// Asks, and asks again at once when the server refuses what can be left out or said otherwise: within one attempt of
    /// the job and its time. What helped is remembered for the model.
    ///
    /// - Parameter begun: how far the answer had come that the last call failed in; nil when the call was refused, or
    ///   nothing of it was sent.
    func exchange(
        _ request: GenerationRequest, _ failures: Boxed<FailureMapping>, _ onDelta: DeltaHandler?,
        _ begun: inout Reading?
    ) async throws(JobFailure) -> Exchanged {
        let began = ContinuousClock.now
        var forms = [memory.form(of: asked(request))]
        while true {
            let outgoing = try outgoing(request, forms, failures, wantsStream: onDelta != nil, began: began)
            do throws(ExchangeError) {
                let reader = try await ask(outgoing, failures, onDelta, &begun)
                if let form = forms.last, forms.count > 1 { memory.remember(form, of: asked(request)) }
                return Exchanged(reader: reader, offered: outgoing.offered, spared: outgoing.spared)
            } catch {
                try adapt(&forms, to: error, of: outgoing.sent, failures.value)
            }
        }
    }

    /// The form in which to ask again.
    @inline(never)
    private func adapt(
        _ forms: inout [RequestForm], to error: ExchangeError, of sent: RequestForm.Sent, _ failures: FailureMapping
    ) throws(JobFailure) {
        switch error {
        case .failed(let failure): throw failure
        case .refused(let refusal):
            guard let next = forms.last?.adapted(to: refusal, of: sent), !forms.contains(next),
                forms.count < Self.mostForms
            else { throw failures.failure(refusal) }
            logger.debug(
                "the model's server refuses a parameter", metadata: ["answer": "\(failures.failure(refusal))"])
            forms.append(next)
        }
    }

    /// The prompt is made here and forgotten, and made again if need be: while the model thinks, most of what a job takes
    /// would else be its prompt, several times.
    @inline(never)
    private func outgoing(
        _ request: GenerationRequest, _ forms: [RequestForm], _ failures: Boxed<FailureMapping>, wantsStream: Bool,
        began: ContinuousClock.Instant
    ) throws(JobFailure) -> Outgoing {
        let form = forms[forms.count - 1]
        let left = forms.count == 1 ? request.timeout : request.timeout - (.now - began)
        guard left > .zero else {
            throw JobFailure(.modelTimeout, "no time was left to ask the model at \(completionsURL)")
        }
        let (messages, offered, spared) = prompt.prompt(for: request)
        let sent = contents(request, messages, form, wantsStream: wantsStream || behaviour.alwaysStreams)
        var message = httpRequest(request, messages, form, sent)
        message.timeouts = HTTPTimeouts(total: left)
        let asked = asked(request)
        let reader = AnswerReader(
            failures.value, keepsThinking: behaviour.keepsThinking,
            expectation: memory.beginsInThought(asked) ? .yes : .init(ofModel: asked))
        return Outgoing(message, sent, offered: offered, spared: spared, reader: Boxed(reader))
    }

    /// Sends one request and reads the answer as it comes, up to its end and what belongs to it.
    @inline(never)
    private func ask(
        _ outgoing: Outgoing, _ failures: Boxed<FailureMapping>, _ onDelta: DeltaHandler?, _ begun: inout Reading?
    ) async throws(ExchangeError) -> Reading {
        begun = nil
        let response: HTTPStreamedResponse
        do throws(HTTPError) { response = try await send(outgoing) } catch {
            if error.wasSent { begun = outgoing.reader }
            throw failed(error, failures)
        }
        guard response.status == 200 || response.status == 201 else { throw await refusal(response) }
        var reader = outgoing.reader
        do throws(ExchangeError) {
            try await read(response, &reader, failures, onDelta)
            return reader
        } catch {
            if reader.value.mayCost { begun = reader }
            throw Self.refused(error, response)
        }
    }

    private func send(_ outgoing: Outgoing) async throws(HTTPError) -> HTTPStreamedResponse {
        guard let message = outgoing.takeMessage() else {
            throw HTTPError(code: .cancelled, message: "it was sent before")
        }
        return try await http.stream(message)
    }

    @inline(never)
    private func failed(_ error: HTTPError, _ failures: Boxed<FailureMapping>) -> ExchangeError {
        .failed(failures.value.failure(error))
    }

    @inline(never)
    private func cancelled(_ failures: Boxed<FailureMapping>) -> ExchangeError { .failed(failures.value.cancelled) }

    @inline(never)
    private static func refused(_ error: ExchangeError, _ response: HTTPStreamedResponse) -> ExchangeError {
        guard case .refused(var refusal) = error else { return error }
        refusal.headers = response.headers
        return .refused(refusal)
    }

    @inline(never)
    private func refusal(_ response: HTTPStreamedResponse) async -> ExchangeError {
        // The status says enough when the body cannot be read. Some servers repeat the whole prompt in it.
        let body = (try? await response.collect(upTo: Self.maxBodyBytes)) ?? []
        return .refused(Refusal(status: response.status, headers: response.headers, error: ServerError(body)))
    }

    @inline(never)
    private func read(
        _ response: HTTPStreamedResponse, _ reader: inout Reading, _ failures: Boxed<FailureMapping>,
        _ onDelta: DeltaHandler?
    ) async throws(ExchangeError) {
        var chunks = response.body.makeAsyncIterator()
        // A body of known length ends by itself.
        let mayStayOpen = response.header("content-length") == nil
        while !reader.value.isDone, !(mayStayOpen && reader.value.hasEnded) {
            let chunk: [UInt8]?
            var broken: HTTPError?
            do throws(HTTPError) { chunk = try await chunks.next() } catch {
                if error.isCancelled { throw failed(error, failures) }
                chunk = nil
                broken = error
            }
            guard let chunk else {
                // Broken or ended: an answer that has come whole is there, whatever became of the connection.
                let added = try reader.end(isBroken: broken != nil)
                if let broken, !reader.value.hasEnded { throw failed(broken, failures) }
                return try await deliver(added, onDelta)
            }
            // One piece for all that has arrived: no more messages than reads.
            try await deliver(reader.feed(chunk), onDelta)
        }
        if reader.value.isDone { return drain(chunks) }
        let added: String
        (reader, added) = try await readTail(chunks, reader)
        try await deliver(added, onDelta)
        if Task.isCancelled { throw cancelled(failures) }
    }

    @inline(never)
    private func deliver(_ delta: String, _ onDelta: DeltaHandler?) async throws(ExchangeError) {
        guard let onDelta, !delta.isEmpty else { return }
        do throws(JobFailure) { try await pass(delta, to: onDelta) } catch { throw .failed(error) }
    }

    /// Reads what follows an answer's end, usage and `[DONE]`, while it does not keep the answer waiting for longer than
    /// ``patience``. Text may follow, too, from servers that end every piece; then the time begins anew.
    private func readTail(
        _ chunks: sending HTTPBody.AsyncIterator, _ reader: Reading
    ) async throws(ExchangeError) -> (Reading, added: String) {
        let progress = Progress(reader.value.answer)
        let tail = Task { () -> Result<(Reading, added: String), ExchangeError> in
            var chunks = chunks
            var reader = reader
            var added = ""
            do throws(ExchangeError) {
                while !reader.value.isDone, let chunk = try? await chunks.next() {
                    added += try reader.feed(chunk)
                    progress.note(reader.value.answer)
                }
                if !reader.value.isDone { added += try reader.end() }
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
    @inline(never)
    private func drain(_ chunks: sending HTTPBody.AsyncIterator) {
        Task {
            var chunks = chunks
            var left = 1 << 20
            while left > 0, let chunk = try? await chunks.next() { left -= chunk.count }
        }
    }
}
