import CCurl

/// A URL, taken apart once for all the requests that go to it. Whoever gives its parts to libcurl holds on to it.
final class Target {
    let url: HTTPURL
    let parts: URLParts
    /// Whether the host is an address: nothing is looked up.
    let isAddress: Bool
    /// Whether it was seen to answer over HTTP/2. Belongs to its engine's loop.
    var multiplexes = false

    init(_ text: String) throws(HTTPError) {
        parts = try HTTPURL.parts(of: text)
        url = HTTPURL(text, parts)
        isAddress = url.host.hasPrefix("[") || url.host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
    }
}
