import ParleyPrimitives
import Testing

@Suite struct URLTextTests {
    @Test(arguments: [
        ("amqp://h:5672/v", "amqp://h:5672/v"), ("amqp://u:geheim@h:1/v", "amqp://***@h:1/v"),
        ("amqp://u:ge/heim@h", "amqp://***@h"), ("amqp://u:ge?heim@h", "amqp://…"),
        ("amqp://u:ge@heim@h", "amqp://***@h"),
        ("amqp://u:geheim", "amqp://…"), ("u:geheim", "…"), ("nonsense", "nonsense"),
        ("http://me:geheim@there", "http://***@there"),
        ("amqp://u:ge,heim@h", "amqp://***@h"), ("amqp://u:12,34@h", "amqp://***@h"),
        ("amqp://u:geheim@a,amqp://u:geheim@b:1", "amqp://***@a,amqp://***@b:1"),
        ("amqp://a:1,b:2/v", "amqp://a:1,b:2/v"),
        ("redis+sentinel://u:geheim@a:1,b:2/m/0?sentinel_password=geheim", "redis+sentinel://***@a:1,b:2/m/0?…"),
        ("redis+sentinel://a/m/0?sentinel_password=ge@heim", "redis+sentinel://…"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("https://h/v1?key=geheim", "https://h/v1?…"), ("http://h#geheim", "http://h?…"), ("", ""),
    ])
    func whatMayBeASecretIsNotShown(url: String, shown: String) {
        #expect(URLText.redacted(url) == shown)
    }

    @Test func urlsInASentenceAreShownWithoutTheirSecrets() {
        let text =
            #"no answer from amqp://u:***@h:5672/v: refused (model "x"@http://me:pw@h:1/v1?key=k), see redis://h/0."#
        #expect(
            URLText.redacted(in: text)
                == #"no answer from amqp://h:5672/v: refused (model "x"@http://h:1/v1?…), see redis://h/0."#)
        #expect(URLText.redacted(in: "nothing :// here://") == "nothing :// here://")
        #expect(URLText.redacted(in: "plain") == "plain")
    }
}
