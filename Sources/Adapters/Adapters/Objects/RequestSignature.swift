import ChatJobs
import ParleyDigest
import ParleyHTTP

/// Signs requests as Amazon's services and those like them want it: AWS Signature Version 4, in the `Authorization` header
/// (Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header").
///
/// Not libcurl's own: that of 7.88, which Debian 12 has, signs headers that it does not send, and misorders others.
package struct RequestSignature: Sendable {
    let region: String
    let accessKey: String
    let secretKey: String
    /// Sent with temporary keys.
    let sessionToken: String?

    package init(region: String, accessKey: String, secretKey: String, sessionToken: String?) {
        self.region = region
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }

    /// All headers of a request, the signature and what it needs included; nil without SHA-256.
    ///
    /// - Parameters:
    ///   - host: as it is sent: with the port, unless that is the scheme's own.
    ///   - path: of characters that need no escaping.
    ///   - headers: to be signed, too; their names in small letters.
    func headers(
        _ method: String, host: String, path: String, _ headers: [HTTPHeader], body: [UInt8], at now: Timestamp
    ) -> [HTTPHeader]? {
        guard let digest = SHA256.digest(of: body)?.hex else { return nil }
        let time = Self.time(now)
        let date = String(time.prefix(8))
        var sent = headers + [HTTPHeader("x-amz-content-sha256", digest), HTTPHeader("x-amz-date", time)]
        if let sessionToken { sent.append(HTTPHeader("x-amz-security-token", sessionToken)) }
        let signed = (sent + [HTTPHeader("host", host)]).sorted { $0.name < $1.name }
        let names = signed.map(\.name).joined(separator: ";")
        let canonical =
            ([method, path, ""] + signed.map { "\($0.name):\($0.value)" } + ["", names, digest])
            .joined(separator: "\n")
        let scope = "\(date)/\(region)/s3/aws4_request"
        guard let hash = SHA256.hex(of: canonical.utf8) else { return nil }
        let text = "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(hash)"
        var key = Array("AWS4\(secretKey)".utf8)
        for part in [date, region, "s3", "aws4_request", text] {
            guard let next = HMAC.digest(of: Array(part.utf8), key: key) else { return nil }
            key = next
        }
        let value = "AWS4-HMAC-SHA256 Credential=\(accessKey)/\(scope),SignedHeaders=\(names),Signature=\(key.hex)"
        return sent + [HTTPHeader("authorization", value)]
    }

    /// `20130524T000000Z`
    private static func time(_ now: Timestamp) -> String {
        let second = Timestamp(milliseconds: now.milliseconds / 1000 * 1000).rfc3339
        return second.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
    }
}
