import CCurl

extension TransferEngine {
    /// What libcurl's `code` means for the caller.
    func describe(_ code: CURLcode, _ transfer: Transfer, _ easy: EasyHandle) -> HTTPError {
        let text = easy.failureText(code)
        // What it was about to send again has been sent: nothing that happens to the second connection undoes that.
        if transfer.resends {
            return transfer.error(
                .connectionLost,
                "the connection broke after the request was sent, without an answer, and a new one failed: \(text)",
                curlCode: code)
        }
        let tunnel = parley_easy_long(easy.raw, CURLINFO_HTTP_CONNECTCODE)
        if tunnel >= 300, transfer.status == 0 {
            return transfer.error(
                .proxyFailed, "the proxy refused with status \(tunnel) (\(text)); check https_proxy and no_proxy",
                curlCode: code)
        }
        // CURLE_TOO_LARGE, which libcurl before 8.6 does not know.
        if code.rawValue == 100 { return transfer.error(.tooLarge, text, curlCode: code) }
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT:
            return transfer.error(.unreachable, "\(text); is the server running there?", curlCode: code)
        case CURLE_COULDNT_RESOLVE_PROXY, CURLE_PROXY:
            return transfer.error(.proxyFailed, "\(text); check http_proxy, https_proxy and no_proxy", curlCode: code)
        case CURLE_OPERATION_TIMEDOUT:
            let limit = transfer.request.timeouts.connect
            return transfer.error(.timedOut(.connect), "no connection within \(limit)", curlCode: code)
        case CURLE_PEER_FAILED_VERIFICATION:
            return transfer.error(
                .tlsFailed, "\(text); trust its authority with a CA file, or correct the host name", curlCode: code)
        case CURLE_SSL_CACERT_BADFILE:
            let file = configuration.caFile ?? "of the system"
            return transfer.error(.tlsFailed, "the CA file \(file) cannot be read: \(text)", curlCode: code)
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_ENGINE_INITFAILED,
            CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS, CURLE_USE_SSL_FAILED:
            return transfer.error(.tlsFailed, text, curlCode: code)
        case CURLE_FILESIZE_EXCEEDED:
            let tooLarge = transfer.tooLarge
            return HTTPError(code: .tooLarge, message: tooLarge.message, curlCode: Int(code.rawValue))
        case CURLE_GOT_NOTHING where !transfer.wasSent, CURLE_SEND_ERROR where !transfer.wasSent,
            CURLE_RECV_ERROR where !transfer.wasSent, CURLE_HTTP2 where !transfer.wasSent:
            return transfer.error(
                .unreachable, "the connection broke before the request was sent: \(text)", curlCode: code)
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE, CURLE_HTTP2,
            CURLE_HTTP2_STREAM:
            return transfer.error(.connectionLost, text, curlCode: code)
        case CURLE_OUT_OF_MEMORY where transfer.wasSent:
            return transfer.error(
                .failed, "\(text), or a line of the answer's header is longer than libcurl takes", curlCode: code)
        case CURLE_UNSUPPORTED_PROTOCOL where transfer.wasSent:
            return transfer.error(.invalidResponse, "the answer is not HTTP (\(text))", curlCode: code)
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL:
            return transfer.error(.invalidURL, text, curlCode: code)
        case CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING:
            return transfer.error(.invalidResponse, text, curlCode: code)
        default:
            return transfer.error(.failed, text, curlCode: code)
        }
    }
}
