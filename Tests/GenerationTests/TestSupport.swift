import ChatJobs
import IOLoop
import Logging
import ParleyHTTP
import Synchronization

@testable import Generation

/// A client on a loop of its own, for all tests.
let testClient = makeTestClient()

func makeTestClient() -> HTTPClient {
    guard let loop = try? IOLoop(name: "generation-tests") else { fatalError("no thread for the tests' loop") }
    return HTTPClient(loop: loop, logger: Logger(label: "test"))
}

func passage(_ text: String, title: String = "", score: Double = 0.8, id: String = "doc") -> Source {
    Source(id: id, score: score, title: title, text: text)
}

func chatModel(
    _ server: FakeServer, name: String? = "small", apiKey: String? = nil, behaviour: ChatBehaviour = .init(),
    http: HTTPClient = testClient, logger: Logger = Logger(label: "test")
) throws -> ChatCompletionsModel {
    try ChatCompletionsModel(
        baseURL: server.url, name: name, apiKey: apiKey, behaviour: behaviour, http: http, logger: logger)
}

/// The failure of a call that must fail.
func failure(of body: () async throws(JobFailure) -> Generation) async -> JobFailure? {
    do throws(JobFailure) {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

/// Takes deltas.
final class Deltas: Sendable {
    private let taken = Mutex<[String]>([])
    var all: [String] { taken.withLock { $0 } }
    var text: String { all.joined() }
    var handler: DeltaHandler { { delta in self.taken.withLock { $0.append(delta) } } }
}

/// Waits for `condition`, at most ten seconds.
func eventually(_ condition: () async -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return false
}
