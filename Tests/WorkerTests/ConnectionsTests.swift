import Glibc
import IOLoop
import Logging
import ParleyHTTP
import ParleySettings
import Testing

@testable import Worker

@Suite("A worker's connections") struct ConnectionsTests {
    @Test(arguments: [(nil, 512, 512), (nil, 1500, 1500), (nil, 10, 64), (8, 1500, 8)] as [(Int?, Int, Int)])
    func thoseForRetrievalFollowThePrefetch(set: Int?, prefetch: Int, expected: Int) {
        var settings = Settings()
        settings.worker.prefetch = prefetch
        settings.retrieval.maxConnections = set
        let configuration = HTTPClientConfiguration.retrieval(settings)
        #expect(configuration.maxConnectionsPerHost == expected)
        #expect(configuration.maxConnections == 2 * expected)
    }

    @Test(arguments: [(512, 576), (4000, 4500), (1, 64)])
    func thoseForTheModelFollowItsConcurrency(concurrency: Int, expected: Int) {
        var settings = Settings()
        settings.model.maxConcurrency = concurrency
        #expect(HTTPClientConfiguration.model(settings).maxConnectionsPerHost == expected)
    }

    /// All jobs of a worker may be at the embedder at once.
    @Test func noCallWaitsForAnotherThatItsSettingsAllowBesideIt() async throws {
        let server = try SilentServer()
        defer { server.close() }
        var settings = Settings()
        settings.worker.prefetch = 200
        let assembly = try Assembly(settings, logger: Logger(label: "test"))
        let (http, port) = (assembly.http, server.port)
        let calls = (0..<200).map { _ in
            Task { _ = try? await http.send(HTTPRequest(url: "http://127.0.0.1:\(port)/")) }
        }
        let end = ContinuousClock.now + .seconds(20)
        while server.accepted < 200, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(5)) }
        #expect(server.accepted == 200)
        for call in calls { call.cancel() }
        for call in calls { await call.value }
        await http.close()
        assembly.loop.stop()
    }

    @Test func aProcessMayOpenWhatTheSystemAllowsIt() async {
        await #expect(processExitsWith: .success) {
            var limit = rlimit()
            let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            try #require(getrlimit(kind, &limit) == 0)
            limit.rlim_cur = 256
            try #require(setrlimit(kind, &limit) == 0)
            raiseDescriptorLimit(for: Settings(), logger: Logger(label: "test"))
            try #require(getrlimit(kind, &limit) == 0)
            try #require(limit.rlim_cur == limit.rlim_max)
        }
    }
}

/// Takes connections on loopback and never answers. Used by one test only.
private final class SilentServer {
    let port: Int
    private let listener: Int32
    private var peers: [Int32] = []

    init() throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let fd = listener
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, length) | listen(fd, 1024) | getsockname(fd, $0, &length)
            }
        }
        try #require(status == 0)
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    /// Connections so far.
    var accepted: Int {
        while case let peer = accept(listener, nil, nil), peer >= 0 { peers.append(peer) }
        return peers.count
    }

    func close() { for descriptor in peers + [listener] { Glibc.close(descriptor) } }
}
