import Telemetry

/// What is answered to which request; knows no sockets.
struct AdminRoutes: Sendable {
    struct Answer: Sendable {
        var status: Int
        var contentType = "text/plain; charset=utf-8"
        var allow: String?
        var body: [UInt8]
    }

    let registry: MetricsRegistry
    let readiness: @Sendable () async -> Readiness

    /// - Parameter target: the request's target, a query included.
    func answer(method: String, target: String) async -> Answer {
        let path = target.prefix { $0 != "?" && $0 != "#" }
        guard ["/livez", "/readyz", "/metrics"].contains(path) else {
            return Answer(status: 404, body: Array("not found; there are /livez, /readyz and /metrics\n".utf8))
        }
        guard method == "GET" || method == "HEAD" else {
            return Answer(status: 405, allow: "GET, HEAD", body: Array("only GET and HEAD are allowed\n".utf8))
        }
        switch path {
        case "/livez": return Answer(status: 200, body: Array("ok".utf8))
        case "/readyz":
            let readiness = await readiness()
            return Answer(
                status: readiness.isReady ? 200 : 503, contentType: "application/json", body: readiness.json)
        default:
            return Answer(
                status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8",
                body: Array(registry.render().utf8))
        }
    }
}
