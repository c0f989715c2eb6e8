/// W3C Trace Context, level 1: the `traceparent` that a job came with, continued on its replies.
enum TraceContext {
    /// The same trace with a new parent id; nil when `traceparent` is not well-formed (section 3.2: then it is ignored).
    static func continued(_ traceparent: String?) -> String? {
        guard let traceparent else { return nil }
        let parts = traceparent.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0].utf8.count == 2, parts[0] != "ff", parts[0] != "00" || parts.count == 4,
            parts[1].utf8.count == 32,
            parts[2].utf8.count == 16, parts[3].utf8.count == 2,
            parts[0...3].allSatisfy({ $0.utf8.allSatisfy(isLowerHex) }), parts[1].contains(where: { $0 != "0" }),
            parts[2].contains(where: { $0 != "0" })
        else { return nil }
        let span = String(UInt64.random(in: 1...UInt64.max), radix: 16)
        return "00-\(parts[1])-\(String(repeating: "0", count: 16 - span.utf8.count))\(span)-\(parts[3])"
    }

    private static func isLowerHex(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
