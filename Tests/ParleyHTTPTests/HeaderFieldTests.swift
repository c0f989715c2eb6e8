import Testing

@testable import ParleyHTTP

@Suite struct HeaderFieldTests {
    @Test func oneFieldIsReadAsItIsAmongAll() {
        let heads = [
            "HTTP/1.1 200 OK\r\nContent-Length:  7 \r\nX-A: 1\r\nx-a: 2\r\nX-Folded: one\r\n\ttwo\r\nEmpty:\r\nLast: z\r\n\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 7\nnonsense\n: x\nLast:z", "HTTP/2 200\r\n\r\n", "HTTP/1.1 200", "", "\n",
            "\n:\n",
        ]
        for head in heads {
            let bytes = Array(head.utf8)
            for name in ["content-length", "X-A", "x-folded", "empty", "LAST", "absent", "nonsense", ""] {
                #expect(parseHeader(name, in: bytes) == parseHeaders(bytes).first(named: name), "\(name) in \(head)")
            }
        }
    }
}
