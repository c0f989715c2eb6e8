import ChatJobs
import ParleyHTTP
import ParleyJSON

/// The batch interface of an OpenAI-compatible service: `/files`, `/batches`.
package struct ChatBatches: Sendable {
    let chat: ChatCompletionsModel
    let filesURL: HTTPURL
    let batchesURL: HTTPURL

    /// What a batch is found again by, in its metadata.
    private static let mark: StaticString = "parley"
    /// The most bytes of a file of results.
    private static let maxFile = 256 << 20
    private static let mostPages = 5

    init(_ chat: ChatCompletionsModel, base: HTTPURL) throws(HTTPError) {
        self.chat = chat
        filesURL = try base.appending("files")
        batchesURL = try base.appending("batches")
    }

    /// A batch as its service describes it.
    package struct Description: Sendable, Equatable {
        package let id: String
        package let name: String?
        package let status: String
        let files: [String]
        /// What is wrong with the batch as a whole.
        package let failure: JobFailure?
        /// How many it has; nil where its service does not say.
        package let questions: Int?

        /// Not all of its questions had their turn.
        package var isCutShort: Bool { status == "expired" || status == "cancelled" }
        package var hasEnded: Bool { ["completed", "failed", "expired", "cancelled"].contains(status) }
    }

    /// Why a batch was not created.
    package enum CreationFailure: Error {
        case refused(JobFailure)
        /// It may have been created.
        case unclear(JobFailure)
    }

    private var failures: FailureMapping { FailureMapping(url: batchesURL, apiKey: chat.apiKey, query: "") }

    // MARK: - Asking

    /// A request as a line of a file, and what of the passages the model is shown.
    package func line(
        _ request: GenerationRequest, name: String
    ) -> (bytes: [UInt8], offered: [Source], spared: Int) {
        let (messages, offered, spared) = chat.prompt.prompt(for: request)
        var form = chat.memory.form(of: chat.asked(request))
        form.streaming = .never
        let sent = chat.contents(request, messages, form, wantsStream: false)
        let body = chat.httpRequest(request, messages, form, sent).body ?? []
        var json = JSONWriter(capacity: body.count + 128)
        json.object {
            $0.member("custom_id", name)
            $0.member("method", "POST")
            $0.member("url", Self.endpoint)
            $0.member("body", raw: body)
        }
        return (json.bytes, offered, spared)
    }

    private static let endpoint = "/v1/chat/completions"

    /// - Returns: the file's id.
    package func upload(_ lines: [[UInt8]], name: String) async throws(JobFailure) -> String {
        let boundary = "parley-\(name)"
        var body: [UInt8] = []
        body.reserveCapacity(lines.reduce(512) { $0 + $1.count + 1 })
        body += Array("--\(boundary)\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n".utf8)
        body += Array(
            ("--\(boundary)\r\ncontent-disposition: form-data; name=\"file\"; filename=\"\(name).jsonl\"\r\n"
                + "content-type: application/jsonl\r\n\r\n").utf8)
        for line in lines {
            body += line
            body.append(UInt8(ascii: "\n"))
        }
        body += Array("\r\n--\(boundary)--\r\n".utf8)
        var headers = chat.wholeHeaders.filter { $0.name != "content-type" }
        headers.append(HTTPHeader("content-type", "multipart/form-data; boundary=\(boundary)"))
        let response = try await answer(
            to: HTTPRequest(
                method: "POST", url: filesURL.string, headers: headers, body: body,
                timeouts: HTTPTimeouts(total: .seconds(120))))
        if response.status == 413 { throw JobFailure(.tooLarge, refusal(response).message) }
        guard response.isSuccess else { throw refusal(response) }
        guard let root = try? JSONDocument(response.body).root else { throw failures.garbage("its answer is not JSON") }
        guard let id = Self.id(root) else { throw failures.garbage("its answer to an upload names no file") }
        return id
    }

    /// - Returns: the batch's id.
    package func create(_ file: String, name: String) async throws(CreationFailure) -> String {
        var json = JSONWriter()
        json.object {
            $0.member("input_file_id", file)
            $0.member("endpoint", Self.endpoint)
            $0.member("completion_window", "24h")
            $0.key("metadata")
            $0.object { $0.member(Self.mark, name) }
        }
        let response: HTTPResponse
        var request = HTTPRequest(
            method: "POST", url: batchesURL.string,
            headers: chat.wholeHeaders + [HTTPHeader("idempotency-key", name)], body: json.bytes,
            timeouts: HTTPTimeouts(total: .seconds(30)))
        // What is created twice is paid for twice.
        request.isSentOnce = true
        do throws(HTTPError) { response = try await chat.http.send(request) } catch {
            let failure = failures.failure(error)
            throw error.isUnreachable || error.code == .tlsFailed ? .refused(failure) : .unclear(failure)
        }
        guard response.isSuccess else {
            let failure = refusal(response)
            // Who says so has not begun; what a gateway says is no word on what is behind it.
            throw (400..<500).contains(response.status) ? .refused(failure) : .unclear(failure)
        }
        guard let root = try? JSONDocument(response.body).root, let id = Self.id(root) else {
            throw .unclear(failures.garbage("its answer names no batch"))
        }
        return id
    }

    /// The newest batch of this name; nil when there is none.
    package func find(_ name: String) async throws(JobFailure) -> Description? {
        var last: String?
        for _ in 0..<Self.mostPages {
            let page = try await list(after: last, limit: 100, within: .seconds(30))
            if let found = page.batches.first(where: { $0.name == name }) { return found }
            guard page.hasMore, let next = page.batches.last?.id, next != last else { break }
            last = next
        }
        return nil
    }

    func list(
        after: String?, limit: Int, within time: Duration
    ) async throws(JobFailure) -> (batches: [Description], hasMore: Bool) {
        let query = "limit=\(limit)" + (after.map { "&after=\($0)" } ?? "")
        let mark = batchesURL.string.contains("?") ? "&" : "?"
        let root = try await send(request(batchesURL.string + mark + query, within: time))
        guard let data = root["data"], data.kind == .array else {
            throw failures.garbage("its list of batches is none")
        }
        return (data.elements.compactMap(description), root["has_more"]?.bool ?? false)
    }

    /// Nil when there is no such batch.
    package func describe(_ id: String) async throws(JobFailure) -> Description? {
        let response = try await answer(to: request(try address(batchesURL, id), within: .seconds(30)))
        if response.status == 404, Refusal.isOfObject(response.body) { return nil }
        guard response.isSuccess else { throw refusal(response) }
        guard let root = try? JSONDocument(response.body).root, let batch = description(root), batch.id == id else {
            throw failures.garbage("its description of a batch is none, or another's")
        }
        return batch
    }

    /// What came of a batch: its lines by their names.
    package func results(of batch: Description) async throws(JobFailure) -> [String: [UInt8]] {
        var results: [String: [UInt8]] = [:]
        for file in batch.files {
            var request = request(try address(filesURL, file, "/content"), within: .seconds(300))
            request.maxBodyBytes = Self.maxFile
            let response = try await answer(to: request)
            // A file that is gone has no lines.
            if response.status == 404 || response.status == 410 { continue }
            guard response.isSuccess else { throw refusal(response) }
            for line in response.body.split(separator: UInt8(ascii: "\n")) {
                guard let name = (try? JSONDocument(Array(line)).root)?["custom_id"]?.string, results[name] == nil
                else {
                    continue
                }
                results[name] = Array(line)
            }
        }
        return results
    }

    package func cancel(_ id: String) async {
        guard let url = try? address(batchesURL, id, "/cancel") else { return }
        var request = request(url, within: .seconds(30))
        request.method = "POST"
        _ = try? await chat.http.send(request)
    }

    // MARK: - Reading

    /// What a line says of its question.
    package enum LineResult {
        case answered(Generation)
        case failed(JobFailure)
        /// The batch ended before its turn.
        case unasked
    }

    /// Reads a line as the answer to a request of its own would be.
    package func result(_ line: [UInt8], of request: GenerationRequest) -> LineResult {
        let mapping = FailureMapping(url: batchesURL, apiKey: chat.apiKey, query: request.query)
        guard let root = try? JSONDocument(line).root else {
            return .failed(mapping.garbage("a line of its results is not JSON"))
        }
        if let code = root["error"]?["code"]?.string, ["batch_expired", "batch_cancelled"].contains(code) {
            return .unasked
        }
        guard let response = root["response"], let body = response["body"], !body.isNull else {
            return .failed(mapping.failure(Refusal(error: root["error"].map { ServerError($0) } ?? ServerError(line))))
        }
        if let status = response["status_code"]?.int, !(200..<300).contains(status) {
            let refusal = Refusal(status: status, error: ServerError(body))
            return .failed(learnt(from: refusal, request) ?? mapping.failure(refusal))
        }
        let asked = chat.asked(request)
        var reader = AnswerReader(
            mapping, keepsThinking: chat.behaviour.keepsThinking,
            expectation: chat.memory.beginsInThought(asked) ? .yes : .init(ofModel: asked))
        do throws(ExchangeError) { _ = try reader.feed(Array(body.raw)) } catch {
            switch error {
            case .refused(let refusal): return .failed(learnt(from: refusal, request) ?? mapping.failure(refusal))
            case .failed(let failure): return .failed(failure)
            }
        }
        let model = reader.answer.model ?? asked
        let usage = reader.answer.usage(of: chat.prompt.messages(for: request))
        do throws(JobFailure) { _ = try reader.finish() } catch {
            return .failed(error.losing(LostCall(model: model, usage: usage)))
        }
        let answer = reader.answer
        return .answered(
            Generation(
                answer: answer.text, model: model, usage: usage,
                finishReason: answer.reason == .cut ? .length : .stop))
    }

    /// When the service refuses what Parley adds of its own accord, the next batch goes without it, and the job is none the
    /// worse for it.
    private func learnt(from refusal: Refusal, _ request: GenerationRequest) -> JobFailure? {
        let asked = chat.asked(request)
        let messages = chat.prompt.messages(for: request)
        let plain = RequestForm()
        let sent = chat.contents(request, messages, plain, wantsStream: false)
        guard var form = plain.adapted(to: refusal, of: sent), form.streaming == .asWanted else { return nil }
        let known = chat.memory.form(of: asked)
        form.without.formUnion(known.without)
        form.foldsSystem = form.foldsSystem || known.foldsSystem
        chat.memory.remember(form, of: asked)
        return JobFailure(
            .modelUnavailable, "the model's service refuses a parameter; it is asked again without", blame: .gateway)
    }

    private func description(_ root: JSONElement) -> Description? {
        guard let id = Self.id(root), let status = root["status"]?.string else { return nil }
        var failure: JobFailure?
        if status == "failed" {
            let errors = root["errors"]?["data"]?.elements ?? []
            let words = errors.compactMap { $0["message"]?.string }.joined(separator: "; ")
            let isLimit = errors.contains { $0["code"]?.string?.contains("limit") == true }
            failure = JobFailure(
                isLimit ? .rateLimited : .modelUnavailable,
                failures.clean("the batch failed: \(words.isEmpty ? "its service does not say why" : words)"),
                blame: isLimit ? .overload : .gateway)
        }
        return Description(
            id: id, name: root["metadata"]?["\(Self.mark)"]?.string, status: status,
            files: ["output_file_id", "error_file_id"].compactMap { root[$0]?.string }.filter { !$0.isEmpty },
            failure: failure, questions: root["request_counts"]?["total"]?.int.flatMap { $0 > 0 ? $0 : nil })
    }

    /// What a service calls a thing is written down in one word.
    private static func id(_ root: JSONElement) -> String? {
        guard let id = root["id"]?.string, (1...512).contains(id.utf8.count),
            id.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return nil }
        return id
    }

    // MARK: - HTTP

    private func address(_ base: HTTPURL, _ id: String, _ rest: String = "") throws(JobFailure) -> String {
        do throws(HTTPError) { return try base.appending(id + rest).string } catch { throw failures.failure(error) }
    }

    private func request(_ url: String, within time: Duration) -> HTTPRequest {
        HTTPRequest(url: url, headers: chat.wholeHeaders, timeouts: HTTPTimeouts(total: time))
    }

    private func answer(to request: HTTPRequest) async throws(JobFailure) -> HTTPResponse {
        do throws(HTTPError) { return try await chat.http.send(request) } catch { throw failures.failure(error) }
    }

    private func send(_ request: HTTPRequest) async throws(JobFailure) -> JSONElement {
        let response = try await answer(to: request)
        guard response.isSuccess else { throw refusal(response) }
        guard let root = try? JSONDocument(response.body).root else { throw failures.garbage("its answer is not JSON") }
        return root
    }

    private func refusal(_ response: HTTPResponse) -> JobFailure {
        failures.failure(
            Refusal(status: response.status, headers: response.headers, error: ServerError(response.body)))
    }
}

extension Refusal {
    /// A 404 in the service's own words: a gateway's is no word on the batch.
    fileprivate static func isOfObject(_ body: [UInt8]) -> Bool {
        (try? JSONDocument(body).root)?["error"]?.kind == .object
    }
}
