import CCurl

/// A URL as libcurl takes it apart. What names, compares or joins URLs reads this: with a parser of its own it would
/// sooner or later speak of another host than the one that is connected to.
final class URLParts {
    let handle: OpaquePointer

    /// Why libcurl cannot use a text.
    struct Refusal: Error {
        let code: CURLUcode
        var text: String { String(cString: curl_url_strerror(code)) }
    }

    init(_ text: String) throws(Refusal) {
        guard let handle = curl_url() else { throw Refusal(code: CURLUE_OUT_OF_MEMORY) }
        let code = curl_url_set(handle, CURLUPART_URL, text, 0)
        guard code == CURLUE_OK else {
            curl_url_cleanup(handle)
            throw Refusal(code: code)
        }
        self.handle = handle
    }

    deinit { curl_url_cleanup(handle) }

    /// Nil where the URL says nothing of `part`.
    func text(of part: CURLUPart) -> String? {
        var raw: UnsafeMutablePointer<CChar>?
        guard curl_url_get(handle, part, &raw, UInt32(CURLU_DEFAULT_PORT)) == CURLUE_OK, let raw else { return nil }
        defer { curl_free(raw) }
        return String(cString: raw)
    }
}
