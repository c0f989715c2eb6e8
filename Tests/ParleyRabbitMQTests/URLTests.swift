import Testing

@testable import ParleyRabbitMQ

@Suite("URLs")
struct URLTests {
    @Test("a full URL is read in all its parts")
    func full() throws {
        let c = try RabbitMQConfiguration(
            url: "amqps://us%40er:p%2Fw%3A@rabbit.example:5999/my%2Fhost?heartbeat=7&connection_timeout=1500"
                + "&cacertfile=%2Fca.pem&certfile=/c.pem&keyfile=/k.pem&verify=verify_peer")
        #expect(c.endpoints == [.init(host: "rabbit.example", port: 5999)])
        #expect(c.username == "us@er")
        #expect(c.password == "p/w:")
        #expect(c.virtualHost == "my/host")
        #expect(c.heartbeat == .seconds(7))
        #expect(c.connectTimeout == .milliseconds(1500))
        #expect(c.tls == .init(caFile: "/ca.pem", certificateFile: "/c.pem", keyFile: "/k.pem"))
    }

    @Test(
        "what is left out has the usual defaults", arguments: ["amqp://h", "amqp://h/", "AMQP://h:/", "amqp://h/%2F"])
    func defaults(url: String) throws {
        let c = try RabbitMQConfiguration(url: url)
        #expect(c.endpoints == [.init(host: "h", port: 5672)])
        #expect(c.username == "guest" && c.password == "guest" && c.virtualHost == "/" && c.tls == nil)
    }

    @Test("amqps has port 5671 and verifies")
    func tlsDefaults() throws {
        let c = try RabbitMQConfiguration(url: "amqps://h")
        #expect(c.endpoints == [.init(host: "h", port: 5671)])
        #expect(c.tls == .init(verifyPeer: true, verifyHostname: true))
        let open = try RabbitMQConfiguration(url: "amqps://h?verify=verify_none")
        #expect(open.tls?.verifyPeer == false)
    }

    @Test("several hosts stand in one URL or in several")
    func several() throws {
        let expected: [RabbitMQConfiguration.Endpoint] = [.init(host: "a", port: 1), .init(host: "b", port: 2)]
        #expect(try RabbitMQConfiguration(url: "amqp://u:p@a:1,b:2/v").endpoints == expected)
        #expect(try RabbitMQConfiguration(url: "amqp://u:p@a:1/v, amqp://u:p@b:2/v").endpoints == expected)
        #expect(try RabbitMQConfiguration(url: "amqp://[::1]:9").endpoints == [.init(host: "::1", port: 9)])
    }

    @Test(
        "a mistake is named",
        arguments: [
            ("", "empty"), ("http://h", "http"), ("host:1", "scheme"), ("amqp://", "host"), ("amqp://h:0", "0"),
            ("amqp://h:x1", "the port is not"), ("amqp://h:70000", "70000"), ("amqp://h/a/b", "a/b"),
            ("amqp://h?heartbeat=no", "no"),
            ("amqp://h?colour=red", "colour"), ("amqp://h?cacertfile=/x", "amqps"),
            ("amqps://h?certfile=/x", "keyfile"),
            ("amqps://h?verify=maybe", "maybe"), ("amqp://h/%zz", "%zz"), ("amqp://[::1", "]"),
            ("amqp://u:p@a/v,amqp://u:q@b/v", "agree"),
        ])
    func mistakes(url: String, part: String) {
        #expect {
            try RabbitMQConfiguration(url: url)
        } throws: { error in
            let error = error as? RabbitMQError
            return error?.code == .invalidConfiguration && error?.message.contains(part) == true
        }
    }

    @Test("the password never shows")
    func secret() throws {
        let c = try RabbitMQConfiguration(url: "amqp://u:geheim@h:1/v")
        var dumped = ""
        dump(c, to: &dumped)
        for text in [c.redacted, "\(c)", String(reflecting: c), dumped] { #expect(!text.contains("geheim"), "\(text)") }
        #expect(c.redacted == "amqp://u:***@h:1/v")
        for url in [
            "amqp://u:geheim%@h:1/v", "amqp://u:geheim/geheim@h", "amqp://u:geheim?geheim@h",
            "amqp://u:geheim#geheim@h",
            "amqp://u:geheim", "amqp://u:1/geheim@h/v",
        ] {
            let error = #expect(throws: RabbitMQError.self) { try RabbitMQConfiguration(url: url) }
            #expect(error.map { "\($0)".contains("geheim") } == false, "\(url)")
        }
    }
}
