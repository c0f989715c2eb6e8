import CCurl

/// The header fields of a request as libcurl takes them, which only looks at them: whoever gives them to libcurl holds
/// on to this.
final class HeaderList {
    let headers: [HTTPHeader]
    let hasBody: Bool
    private(set) var list: UnsafeMutablePointer<curl_slist>?

    /// - Parameter ownHeaders: sent when `headers` has none of that name. libcurl's options for them format each one
    ///   anew for each request, letter by letter.
    init(_ headers: [HTTPHeader], ownHeaders: [HTTPHeader], hasBody: Bool) {
        self.headers = headers
        self.hasBody = hasBody
        for header in ownHeaders where headers.first(named: header.name) == nil {
            add("\(header.name): \(header.value)")
        }
        for header in headers {
            // libcurl reads "Name:" as "leave it out"; "Name;" sends it empty.
            add(header.value.isEmpty ? header.name + ";" : "\(header.name): \(header.value)")
        }
        if hasBody {
            if headers.first(named: "content-type") == nil { add("Content-Type:") }
            // Asking for "100 Continue" first costs a second wherever the server does not answer it.
            if headers.first(named: "expect") == nil { add("Expect:") }
        }
    }

    deinit { curl_slist_free_all(list) }

    private func add(_ line: String) { list = curl_slist_append(list, line) }

    /// What is wrong with `headers`; nil when they can be sent (RFC 9110, section 5).
    static func fault(in headers: [HTTPHeader]) -> String? {
        for header in headers {
            let nameIsToken = header.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
            guard nameIsToken, !header.name.isEmpty else {
                return "a header's name has characters that HTTP does not allow"
            }
            guard header.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                return "the value of header \"\(header.name)\" has a control character"
            }
        }
        return nil
    }
}
