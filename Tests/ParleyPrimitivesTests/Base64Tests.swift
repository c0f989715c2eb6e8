import Foundation
import ParleyPrimitives
import Testing

struct Base64Tests {
    @Test(arguments: [
        ("", []), ("TQ==", [77]), ("TWE", [77, 97]), ("TWFu", [77, 97, 110]), ("-_8=", [251, 255]), ("T", nil),
        ("TQ=Q", nil), ("*", nil), ("TWF*", nil), ("TWFuT*==", nil), ("TWFuTQ==", [77, 97, 110, 77]),
        ("TWFuTWE=", [77, 97, 110, 77, 97]), ("TWFuT", nil), ("TQ===", nil), ("=", []), ("\u{80}WFu", nil),
    ])
    func base64IsDecoded(_ text: String, _ bytes: [UInt8]?) { #expect(decodeBase64(text) == bytes) }

    @Test func whatIsEncodedComesBack() {
        for count in 0..<200 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 151 + count) }
            #expect(decodeBase64(Data(bytes).base64EncodedString()) == bytes)
        }
    }
}
