import Testing

@testable import Admin

@Suite struct AdminAddressTests {
    @Test(arguments: [
        ("127.0.0.1:9464", "127.0.0.1:9464"), (":9464", "0.0.0.0:9464"), ("[::1]:0", "[::1]:0"),
        ("localhost:80", "localhost:80"), ("off", "off"), ("[::]:65535", "[::]:65535"),
        ("unix:/run/parley/admin.sock", "unix:/run/parley/admin.sock"),
    ])
    func readsAnAddress(text: String, written: String) throws {
        #expect(try AdminAddress(parsing: text).description == written)
    }

    @Test(arguments: [
        "", "9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "h:+1", "::1:80", "[::1]",
        "[host]:1", "[]:1", "a b:1", "http://x:1", "h:99999999999999999999", "OFF", "unix:", "unix:admin.sock",
        "unix:/run/", "unix:/a\0b",
        "unix:/" + String(repeating: "x", count: 100),
    ])
    func refusesWhatIsNone(text: String) {
        let error = #expect(throws: AdminError.self) { try AdminAddress(parsing: text) }
        #expect(error?.code == .invalidAddress)
        #expect(error?.description.contains("\"\(text)\"") == true)
        #expect(error?.description.contains("127.0.0.1:9464") == true)
    }
}
