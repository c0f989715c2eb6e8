import ParleyPrimitives
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
    /// `admin.token`. `/livez` asks for none: it tells nothing, and whoever restarts dead processes knows no secrets.
    let token: Shared<String?>

    /// - Parameters:
    ///   - target: the request's target, a query included.
    ///   - authorization: the header of that name.
    func answer(method: String, target: String, authorization: String? = nil) async -> Answer {
        let path = target.prefix { $0 != "?" && $0 != "#" }
        guard ["/livez", "/readyz", "/metrics"].contains(path) else {
            return Answer(status: 404, body: Array("not found; there are /livez, /readyz and /metrics\n".utf8))
        }
        guard method == "GET" || method == "HEAD" else {
            return Answer(status: 405, allow: "GET, HEAD", body: Array("only GET and HEAD are allowed\n".utf8))
        }
        if let token = token.value, path != "/livez", !Self.isSame(authorization ?? "", "Bearer " + token) {
            return Answer(status: 401, body: Array("a bearer token is needed: admin.token\n".utf8))
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

    /// In the same time wherever they differ.
    private static func isSame(_ given: String, _ right: String) -> Bool {
        var difference = UInt8(given.utf8.count == right.utf8.count ? 0 : 1)
        for (a, b) in zip(given.utf8, right.utf8) { difference |= a ^ b }
        return difference == 0
    }
}
