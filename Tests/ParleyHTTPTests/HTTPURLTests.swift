import ParleyHTTP
import Testing

@Suite("HTTP URLs") struct HTTPURLTests {
    @Test(arguments: [
        ("http://h:1/v1", "chat/completions", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", "/chat/completions", "http://h:1/v1/chat/completions"),
        ("https://h", "x", "https://h/x"),
        ("https://h//", "//x", "https://h/x"),
        ("https://h/a?api-version=1", "x", "https://h/a/x?api-version=1"),
        ("https://h/a", "", "https://h/a"),
    ])
    func joinsWithOneSlash(base: String, path: String, joined: String) throws {
        #expect(try HTTPURL(base).appending(path).string == joined)
    }

    @Test func knowsItsParts() throws {
        let url = try HTTPURL("HTTPS://user:p%40ss@Example.com:8443/a?b=c@d")
        #expect(url.scheme == "https")
        #expect(url.host == "Example.com")
        #expect(url.port == 8443)
        #expect(url.description == "HTTPS://Example.com:8443/a?…")
        let six = try HTTPURL("http://[::1]:81")
        #expect(six.host == "[::1]")
        #expect(six.port == 81)
        #expect(try HTTPURL("http://h").port == 80)
        #expect(try HTTPURL("https://h?x").origin == "https://h:443")
    }

    @Test(arguments: [
        ("", "empty"), ("h:1/v1", "http://"), ("ftp://h", "http://"), ("http://", "host"), ("http:///x", "host"),
        ("http://:80", "host"), ("http://h:0", "port"), ("http://h:99999", "port"), ("http://h:x", "port"),
        ("http://h:", "port"), ("http://h/a b", "space"), ("http://h/\u{0}", "control"), ("http://[::1", "bracket"),
        ("http://user:secret@h:x", "port"),
    ])
    func refusesWithTheReason(text: String, reason: String) {
        let error = #expect(throws: HTTPError.self) { try HTTPURL(text) }
        #expect(error?.code == .invalidURL)
        #expect(error?.message.contains(reason) == true)
        #expect(error?.message.contains("secret") == false)
    }
}
