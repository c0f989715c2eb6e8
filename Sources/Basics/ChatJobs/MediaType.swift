import ParleyPrimitives

/// What `content_type` and `content_encoding` may be (contract, section 1): many clients write what they always write, and
/// the body tells whether it is JSON.
enum MediaType {
    /// Why a body of this type is not read; nil when it is.
    static func problem(_ contentType: String?) -> String? {
        guard let contentType, contentType != "application/json" else { return nil }
        let parts = contentType.split(separator: ";", omittingEmptySubsequences: false)
            .map { $0.trimmingSpaces().lowercased() }
        let type = parts.first ?? ""
        guard names.contains(type) || type.hasSuffix("+json") else {
            return "content_type is \(shown(contentType)); application/json (UTF-8) is needed"
        }
        for parameter in parts.dropFirst() {
            let pair = parameter.split(separator: "=", maxSplits: 1).map { $0.trimmingSpaces() }
            guard pair.count == 2, pair[0] == "charset" else { continue }
            guard ["utf-8", "utf8", "\"utf-8\"", "\"utf8\""].contains(pair[1]) else {
                return
                    "content_type is \(shown(contentType)); only UTF-8 is read, without a charset or with charset=utf-8"
            }
        }
        return nil
    }

    private static let names: Set<String> = [
        "", "application/json", "text/json", "text/plain", "application/octet-stream",
    ]

    enum Encoding { case none, gzip, unknown }

    static func encoding(_ contentEncoding: String?) -> Encoding {
        guard let contentEncoding, !contentEncoding.isEmpty else { return .none }
        return switch contentEncoding.lowercased() {
        case "utf-8", "utf8", "identity": .none
        case "gzip", "x-gzip": .gzip
        default: .unknown
        }
    }
}
