import CRabbitMQ
import Testing

@testable import ParleyRabbitMQ

struct CopyingTests {
    @Test(arguments: [0, 1, 15, 85, 86, 254, 255])
    func repairedTextFitsAShortStringAgain(_ size: Int) {
        var bytes = [UInt8](repeating: 0xFF, count: size)
        let (text, remembered) = bytes.withUnsafeMutableBytes { raw in
            var memory = TextMemory()
            let text = amqp_bytes_t(len: size, bytes: raw.baseAddress)
            return (text.text, memory.text(text))
        }
        #expect(text == String(repeating: "\u{FFFD}", count: min(size, 85)))
        #expect(remembered == text)
    }

    @Test func textThatNeedsNoRepairIsWhole() {
        var bytes = Array(String(repeating: "é", count: 127).utf8) + [97]
        let text = bytes.withUnsafeMutableBytes { amqp_bytes_t(len: 255, bytes: $0.baseAddress).text }
        #expect(Array(text.utf8) == bytes)
    }
}
