import Redis
import Testing

@Suite struct RedisURLTests {
    @Test func aBareHostTakesTheDefaults() throws {
        let configuration = try RedisConfiguration(url: "redis://cache.example")
        #expect(configuration == RedisConfiguration(host: "cache.example"))
        #expect(configuration.port == 6379)
        #expect(configuration.database == 0)
        #expect(configuration.connectTimeout == .seconds(5))
        #expect(configuration.commandTimeout == .seconds(5))
    }

    @Test func everyPartIsReadAndDecoded() throws {
        let configuration = try RedisConfiguration(url: "redis://wor%40ker:p%2Fa%3As%25s@10.0.0.1:7000/12")
        #expect(configuration.username == "wor@ker")
        #expect(configuration.password == "p/a:s%s")
        #expect(configuration.host == "10.0.0.1")
        #expect(configuration.port == 7000)
        #expect(configuration.database == 12)
        #expect(configuration.redacted == "redis://wor%40ker:***@10.0.0.1:7000/12")
    }

    @Test func thePasswordMayStandAloneAndContainAnAtSign() throws {
        let configuration = try RedisConfiguration(url: "REDIS://:a@b@[::1]:6380?db=3")
        #expect(configuration.username == nil)
        #expect(configuration.password == "a@b")
        #expect(configuration.host == "::1")
        #expect(configuration.port == 6380)
        #expect(configuration.database == 3)
        #expect(configuration.redacted == "redis://:***@[::1]:6380/3")
    }

    @Test func thePasswordNeverShows() throws {
        let configuration = try RedisConfiguration(url: "redis://u:hunter2@h")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped] {
            #expect(!text.contains("hunter2"))
        }
    }

    @Test(arguments: [
        ("http://h", "scheme"), ("h:6379", "scheme"), ("", "scheme"), ("redis://", "host"),
        ("redis://:hunter2@:6379", "host"), ("redis://h:hunter2", "port"), ("redis://h:0", "port"),
        ("redis://h:65536", "port"), ("redis://h:-1", "port"), ("redis://h/x", "database \"x\""),
        ("redis://h/-1", "database \"-1\""), ("redis://h/99999999999", "database"), ("redis://h/0/1", "database"),
        ("redis://h?timeout=1", "\"timeout\""), ("redis://h#x", "fragment"), ("redis://hunter2@h", "before the @"),
        ("redis://user:@h", "no password"), ("redis://:hunter2%zz@h", "password"), ("redis://:%ff@h", "password"),
        ("redis://:hun/ter2@h", "percent-encode"), ("redis://[::1", "]"), ("redis://[::1]x", "]"),
        ("redis://a b", "white space"), ("redis://a%00b", "control"),
    ])
    func whatIsWrongIsNamedAndNoSecretRepeated(url: String, names: String) {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: url) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains(names) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("ter2") != true)
    }

    @Test(.enabled(if: !RedisConfiguration.supportsTLS))
    func tlsIsRefusedWithWhatToInstall() {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: "rediss://h:6380/0") }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains("libhiredis-dev") == true)
        #expect(error?.message.contains("hiredis_ssl") == true)
    }
}
