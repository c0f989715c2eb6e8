import ParleyJSON

/// Where an answer is that is too long for a reply: `answer_ref` (contract, section 2).
public struct AnswerReference: Sendable, Equatable {
    /// In the worker's `objects.url`.
    public var url: String
    public var bytes: Int
    /// Of those bytes: 64 lower-case hexadecimal digits.
    public var sha256: String
    /// It is there until then at least.
    public var expires: Timestamp

    public init(url: String, bytes: Int, sha256: String, expires: Timestamp) {
        self.url = url
        self.bytes = bytes
        self.sha256 = sha256
        self.expires = expires
    }

    func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("url", url)
            $0.member("bytes", bytes)
            $0.member("sha256", sha256)
            $0.member("expires", expires.rfc3339)
        }
    }

    init?(reading json: JSONElement) {
        guard let url = json["url"]?.string, let bytes = json["bytes"]?.int, let sha256 = json["sha256"]?.string,
            let expires = json["expires"]?.string.flatMap(Timestamp.init)
        else { return nil }
        self.init(url: url, bytes: bytes, sha256: sha256, expires: expires)
    }
}

/// Where a job's body is that is too long for a message: `body_ref`.
package struct BodyReference: Sendable, Equatable {
    package var url: String
    package var bytes: Int
    package var sha256: String

    package init(url: String, bytes: Int, sha256: String) {
        self.url = url
        self.bytes = bytes
        self.sha256 = sha256
    }

    /// - Parameter maxBody: `limits.body`.
    init(reading json: JSONElement, maxBody: Int) throws(JobFailure) {
        guard json.kind == .object, let url = json["url"]?.string, let bytes = json["bytes"]?.int, bytes >= 0,
            let sha256 = json["sha256"]?.string
        else {
            throw JobFailure(
                .invalidJob,
                "body_ref has to be {\"url\": \"…\", \"bytes\": …, \"sha256\": \"…\"}, of a body in objects.url")
        }
        let isHex = sha256.utf8.count == 64 && sha256.allSatisfy { $0.isASCII && $0.isHexDigit }
        guard isHex else {
            throw JobFailure(.invalidJob, "body_ref.sha256 is \(shown(sha256)); 64 hexadecimal digits are needed")
        }
        guard bytes <= maxBody else {
            throw JobFailure(.tooLarge, "body_ref names a body of \(bytes) bytes; at most \(maxBody) are allowed")
        }
        self.init(url: url, bytes: bytes, sha256: sha256.lowercased())
    }
}
