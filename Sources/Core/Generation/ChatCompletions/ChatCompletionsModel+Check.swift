import ChatJobs
import ParleyHTTP
import ParleyJSON

extension ChatCompletionsModel {
    /// Looks the model up in `/models`; where that does not settle it, asks it for one token.
    package func check() async -> String? {
        let failures = FailureMapping(url: completionsURL, apiKey: apiKey, query: "")
        var offered: [String] = []
        var list = httpRequest([], timeout: .seconds(5), streams: false)
        list.method = "GET"
        list.url = modelsURL.string
        list.body = nil
        do throws(HTTPError) {
            let response = try await http.send(list)
            if response.isSuccess, let root = (try? JSONDocument(response.body))?.root {
                offered = (root["data"]?.elements ?? []).compactMap { $0["id"]?.string }
                if name.map(offered.contains) ?? (offered.count == 1) { return nil }
            } else if response.status == 401 || response.status == 403 {
                return failures.failure(status: response.status, headers: [], body: response.body).message
            }
        } catch {
            return error.isUnreachable
                ? "model.url: nothing answers at \(modelsURL.origin); start the model's server or correct the address "
                    + "(\(error.message))"
                : failures.failure(error).message
        }
        do throws(JobFailure) {
            _ = try await generate(
                GenerationRequest(query: "ping", maxTokens: 1, timeout: .seconds(20)), onDelta: nil)
            return nil
        } catch {
            guard let name, !offered.isEmpty else { return error.message }
            let some = offered.prefix(8).joined(separator: ", ") + (offered.count > 8 ? ", …" : "")
            return "model.name is \"\(name)\", which the service does not list (it has \(some)); \(error.message)"
        }
    }

    /// Asks for the list of models: any answer will do that a gateway does not give for a service that is away.
    package func isThere() async -> Bool {
        var list = httpRequest([], timeout: .seconds(5), streams: false)
        list.method = "GET"
        list.url = modelsURL.string
        list.body = nil
        guard let response = try? await http.send(list) else { return false }
        return !(502...504).contains(response.status)
    }
}
