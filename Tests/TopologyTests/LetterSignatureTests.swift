import ParleyRabbitMQ
import Testing
import Topology

struct LetterSignatureTests {
    private let signature = LetterSignature(key: "a key of sixteen bytes")

    private func letter() -> (MessageProperties, [UInt8]) {
        var properties = MessageProperties(
            contentType: "application/json",
            headers: ["x-parley-source-queue": "chat.jobs", "x-parley-attempts": 5, "other": "x"], priority: 7,
            correlationID: "c", replyTo: "r", messageID: "a")
        let body = Array(#"{"query":"q"}"#.utf8)
        signature.sign(&properties, body: body)
        return (properties, body)
    }

    @Test func whatAWorkerSignedIsRightAlsoWithHeadersOfOthers() {
        var (properties, body) = letter()
        #expect(signature.isRight(properties, body: body))
        properties.headers["x-death"] = .array([])
        properties.headers["other"] = nil
        #expect(signature.isRight(properties, body: body))
        #expect(!LetterSignature(key: "another key of 16 bytes").isRight(properties, body: body))
    }

    @Test(arguments: 0..<9)
    func whatDecidesTheJobCannotBeChanged(_ change: Int) {
        var (properties, body) = letter()
        switch change {
        case 0: body.append(0x20)
        case 1: properties.replyTo = "another"
        case 2: properties.messageID = "b"
        case 3: properties.correlationID = nil
        case 4: properties.priority = 9
        case 5: properties.headers["x-parley-source-queue"] = "victim"
        case 6: properties.headers["x-parley-user"] = "somebody"
        case 7: properties.headers["x-parley-signature"] = nil
        default: properties.contentEncoding = "gzip"
        }
        #expect(!signature.isRight(properties, body: body))
    }
}
