import CCurl

/// A URL, taken apart once for all the requests that go to it. Whoever gives it to libcurl holds on to it.
final class Target {
    let url: HTTPURL
    /// As libcurl sees it; nil leaves it to take the text apart itself, and to say what it does not like.
    let parts: OpaquePointer?

    init(_ text: String) throws(HTTPError) {
        url = try HTTPURL(text)
        let parts = curl_url()
        if curl_url_set(parts, CURLUPART_URL, text, 0) == CURLUE_OK {
            self.parts = parts
        } else {
            curl_url_cleanup(parts)
            self.parts = nil
        }
    }

    deinit { curl_url_cleanup(parts) }
}
