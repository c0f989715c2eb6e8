import ParleyPrimitives
import Testing

struct Base64Tests {
    @Test(arguments: [
        ("", []), ("TQ==", [77]), ("TWE", [77, 97]), ("TWFu", [77, 97, 110]), ("-_8=", [251, 255]), ("T", nil),
        ("TQ=Q", nil), ("*", nil),
    ])
    func base64IsDecoded(_ text: String, _ bytes: [UInt8]?) { #expect(decodeBase64(text) == bytes) }
}
