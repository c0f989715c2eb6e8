import ParleyHTTP
import Pipeline

/// Objects in a bucket that speaks Amazon's S3 protocol: `objects.url: s3+https://host/bucket`.
package struct BucketObjects: ObjectStore {
    /// An answer waits for its object for so long: it can go into its reply as well.
    private static let patience = Duration.seconds(10)

    let address: ObjectAddress
    /// The bucket's URL.
    let bucket: String
    /// Host and path of it, as they are signed.
    private let host: String
    private let path: String
    let signature: RequestSignature
    let http: HTTPClient

    package init(_ address: ObjectAddress, bucket: String, signature: RequestSignature, http: HTTPClient) {
        self.address = address
        self.bucket = bucket
        self.signature = signature
        self.http = http
        let place = bucket[(bucket.firstRange(of: "://")?.upperBound ?? bucket.startIndex)...]
        let slash = place.firstIndex(of: "/") ?? place.endIndex
        path = String(place[slash...])
        let authority = place[..<slash]
        let usual = bucket.hasPrefix("https:") ? ":443" : ":80"
        host = authority.hasSuffix(usual) ? String(authority.dropLast(usual.count)) : String(authority)
    }

    package func keep(_ bytes: [UInt8], as name: String) async throws(ObjectFailure) -> String {
        let answer = try await send("PUT", name, bytes, limit: 1 << 20)
        guard answer.isSuccess else { throw .away(refusal(answer, of: name)) }
        return address.url(name)
    }

    package func read(_ url: String, limit: Int) async throws(ObjectFailure) -> [UInt8] {
        guard let name = address.name(of: url) else {
            throw .absent("body_ref names what is not in objects.url: only that is read")
        }
        let answer = try await send("GET", name, nil, limit: limit)
        if answer.isSuccess { return answer.body }
        let code = Self.code(answer)
        // A bucket that may not be listed says "access denied" of what is not there.
        guard answer.status == 404 && code != "NoSuchBucket" || answer.status == 403 && code == "AccessDenied" else {
            throw .away(refusal(answer, of: name))
        }
        throw .absent("the object of body_ref is not there (\(answer.status)): it was deleted, or never kept")
    }

    /// What is wrong with the bucket; nil when it answers as it should. Nothing is kept there.
    package func trouble() async -> (text: String, isAway: Bool)? {
        do throws(ObjectFailure) {
            let answer = try await send("GET", "answers/check", nil, limit: 1 << 20)
            let code = Self.code(answer)
            let isThere = answer.isSuccess || answer.status == 404 && code != "NoSuchBucket"
            return isThere || code == "AccessDenied" ? nil : (refusal(answer, of: "answers/check"), false)
        } catch {
            switch error {
            case .away(let text), .absent(let text): return (text, true)
            }
        }
    }

    private func send(
        _ method: String, _ name: String, _ body: [UInt8]?, limit: Int
    ) async throws(ObjectFailure) -> HTTPResponse {
        let type = body == nil ? [] : [HTTPHeader("content-type", "text/plain; charset=utf-8")]
        let headers = signature.headers(
            method, host: host, path: "\(path)/\(name)", type, body: body ?? [], at: SystemClock().wall)
        guard let headers else { throw .away("there is no SHA-256 to sign with") }
        let request = HTTPRequest(
            method: method, url: "\(bucket)/\(name)", headers: headers, body: body,
            timeouts: HTTPTimeouts(total: body == nil ? .seconds(30) : Self.patience),
            maxBodyBytes: max(limit, 64 << 10))
        do throws(HTTPError) { return try await http.send(request) } catch {
            guard error.code == .tooLarge else { throw .away("objects.url: \(error.description)") }
            throw .absent("the object of body_ref has more than \(limit) bytes")
        }
    }

    private func refusal(_ answer: HTTPResponse, of name: String) -> String {
        let code = Self.code(answer).map { " (\($0))" } ?? ""
        return "objects.url: \(bucket)/\(name) is answered \(answer.status)\(code)"
            + (answer.status == 403 ? "; check objects.access_key, objects.secret_key and objects.region" : "")
    }

    /// The error's name in its XML.
    private static func code(_ answer: HTTPResponse) -> String? {
        let text = String(decoding: answer.body.prefix(4096), as: UTF8.self)
        guard let start = text.firstRange(of: "<Code>")?.upperBound,
            let end = text[start...].firstRange(of: "</Code>")?.lowerBound
        else { return nil }
        let code = text[start..<end]
        return code.utf8.count <= 64 && code.allSatisfy { $0.isASCII && $0.isLetter } ? String(code) : nil
    }
}
