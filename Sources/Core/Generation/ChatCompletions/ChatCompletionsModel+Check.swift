import ChatJobs
import ParleyHTTP
import ParleyJSON
import ParleyPrimitives

extension ChatCompletionsModel {
    /// Looks the model up in `/models`; where that does not settle it, asks it for one token.
    package func check() async -> String? {
        let failures = FailureMapping(url: completionsURL, apiKey: apiKey, query: "")
        var offered: [String] = []
        do throws(HTTPError) {
            let response = try await http.send(listRequest())
            if response.isSuccess, let root = (try? JSONDocument(response.body))?.root {
                offered = (root["data"]?.elements ?? []).compactMap { $0["id"]?.string }
                if name.map(offered.contains) ?? (offered.count == 1) { return nil }
            } else {
                let refusal = Refusal(
                    status: response.status, headers: response.headers, error: ServerError(response.body))
                // Whoever may not see the list may yet ask.
                if refusal.kind == .key { return failures.failure(refusal).message }
            }
        } catch {
            return error.isUnreachable
                ? "model.url: nothing answers at \(modelsURL.origin); start the model's server or correct the address "
                    + "(\(error.message))"
                : failures.failure(error).message
        }
        guard let failure = await ping() else { return nil }
        guard let name, !offered.isEmpty else { return failure.message }
        let some = offered.prefix(8).joined(separator: ", ") + (offered.count > 8 ? ", …" : "")
        return "model.name is \"\(name)\", which the service does not list (it has \(some)); \(failure.message)"
    }

    /// Asks for one token. An answer that ends there, with nothing but thinking in it, will do.
    private func ping() async -> JobFailure? {
        let request = GenerationRequest(query: "ping", maxTokens: 1, timeout: .seconds(20))
        let failures = Boxed(failures(for: request))
        do throws(JobFailure) {
            var begun: Reading?
            var reader = try await exchange(request, failures, nil, &begun).reader
            if reader.value.answer.reason == .cut { return nil }
            _ = try reader.finish()
            return nil
        } catch {
            return error
        }
    }

    /// Asks for the list of models: any answer will do that a gateway does not give for a service that is away.
    package func isThere() async -> Bool {
        guard let response = try? await http.send(listRequest()) else { return false }
        return !(502...504).contains(response.status) && !(520...530).contains(response.status)
    }
}
