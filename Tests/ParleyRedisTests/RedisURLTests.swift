import Testing

@testable import ParleyRedis

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

    @Test(arguments: [
        "redis://u:hunter2@h", "redis://:hunter2@a,b", "redis+sentinel://u:hunter2@a/m?sentinel_password=hunter2",
    ])
    func thePasswordNeverShows(url: String) throws {
        let configuration = try RedisConfiguration(url: url)
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped, configuration.redacted] {
            #expect(!text.contains("hunter2"))
        }
    }

    @Test func severalAddressesKeepTheirOrder() throws {
        let configuration = try RedisConfiguration(url: "redis://u:p@a,b:7000,[::1]:7001/2")
        #expect(configuration.endpoints.map(\.description) == ["a:6379", "b:7000", "[::1]:7001"])
        #expect(configuration.host == "a")
        #expect(configuration.database == 2)
        #expect(configuration.sentinelMaster == nil)
        #expect(configuration.redacted == "redis://u:***@a:6379,b:7000,[::1]:7001/2")
    }

    @Test func sentinelsAndWhatTheyCallThePrimaryAreRead() throws {
        let configuration = try RedisConfiguration(
            url: "redis+sentinel://u:p@s1,s2:7000,s3/my%2Dm?sentinel_password=a%40b&db=3")
        #expect(configuration.endpoints.map(\.description) == ["s1:26379", "s2:7000", "s3:26379"])
        #expect(configuration.sentinelMaster == "my-m")
        #expect(configuration.sentinelPassword == "a@b")
        #expect(configuration.password == "p")
        #expect(configuration.database == 3)
        #expect(
            configuration.redacted
                == "redis+sentinel://u:***@s1:26379,s2:7000,s3:26379/my-m/3?sentinel_password=***")
        let plain = try RedisConfiguration(url: "redis+sentinel://s1/main/4")
        #expect(plain.sentinelMaster == "main")
        #expect(plain.database == 4)
        #expect(plain.redacted == "redis+sentinel://s1:26379/main/4")
    }

    @Test(arguments: [
        ("http://h", "scheme"), ("h:6379", "scheme"), ("", "scheme"), ("redis://", "host"),
        ("redis://:hunter2@:6379", "host"), ("redis://h:hunter2", "port"), ("redis://h:0", "port"),
        ("redis://h:65536", "port"), ("redis://h:-1", "port"), ("redis://h/x", "database \"x\""),
        ("redis://h/-1", "database \"-1\""), ("redis://h/99999999999", "database"), ("redis://h/0/1", "database"),
        ("redis://h?timeout=1", "\"timeout\""), ("redis://h#x", "fragment"), ("redis://hunter2@h", "before the @"),
        ("redis://user:@h", "no password"), ("redis://:hunter2%zz@h", "password"), ("redis://:%ff@h", "password"),
        ("redis://:hun/ter2@h", "percent-encode"), ("redis://[::1", "]"), ("redis://[::1]x", "]"),
        ("redis://a b", "white space"), ("redis://a%00b", "control"), ("redis://a,", "host"), ("redis://,a", "host"),
        ("redis://a,b:x", "port"), ("redis://a,b,a:6379", "a:6379 stands there twice"),
        ("redis://u:hunter2@a,u:hunter2@b", "once"), ("redis://a,b?sentinel_password=hunter2", "known are db"),
        ("redis+sentinel://s", "NAME"), ("redis+sentinel://s/", "NAME"), ("redis+sentinel://s//0", "NAME"),
        ("redis+sentinel://s/a%20b", "NAME"), ("redis+sentinel://s/m/x", "database \"x\""),
        ("redis+sentinel:///m", "host"), ("redis+sentinel://s/m?quorum=2", "db, sentinel_password"),
        ("redis+sentinel://s/m?sentinel_password=hunter2%", "sentinel_password"),
        ("redis://h?cacertfile=/ca.pem", "cacertfile needs rediss://"), ("redis+sentinel://s/m?keyfile=k", "rediss://"),
        ("rediss://h?certfile=", "certfile names no file"), ("rediss://h?certfile", "no value"),
        ("rediss://h?verify=no", "db, cacertfile, certfile, keyfile"),
    ])
    func whatIsWrongIsNamedAndNoSecretRepeated(url: String, names: String) {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: url) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains(names) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("ter2") != true)
    }

    @Test func filesForTLSAreReadFromTheURL() throws {
        let url = try RedisURL("rediss://h/2?cacertfile=%2Fetc%2Fca.pem&certfile=/c.pem&keyfile=k%20.pem")
        #expect(url.files == ["cacertfile": "/etc/ca.pem", "certfile": "/c.pem", "keyfile": "k .pem"])
        #expect(url.tls && url.database == 2)
    }

    @Test func filesThatCannotBeUsedAreNamed() throws {
        var configuration = RedisConfiguration()
        #expect(configuration.problems == [])
        configuration.certificateAuthorityFile = "/dev/null"
        #expect(configuration.problems.count == 1)
        #expect(configuration.problems.first?.contains("needs rediss://") == true)
        configuration.tls = true
        #expect(configuration.problems == [])
        configuration.certificateFile = "/no/such/file"
        let problems = configuration.problems
        #expect(problems.count == 2)
        for part in ["certfile (redis.cert_file) is \"/no/such/file\"", "No such file"] {
            #expect(problems.first?.contains(part) == true, "\(problems)")
        }
        #expect(problems.last?.contains("belong together") == true)
        configuration.certificateFile = "/dev/null"
        configuration.keyFile = "/dev/null"
        #expect(configuration.problems == [])
    }

    @Test(.enabled(if: !RedisConfiguration.supportsTLS), arguments: ["rediss://h:6380/0", "rediss+sentinel://h/m"])
    func tlsIsRefusedWithWhatToInstall(url: String) {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: url) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains("libhiredis-dev") == true)
        #expect(error?.message.contains("hiredis_ssl") == true)
    }
}
