import CCurl
import IOLoop
import ParleyPrimitives

/// One request on its way: what libcurl has delivered so far and who waits for it.
///
/// Belongs to the ``TransferEngine`` that made it, and like it to the loop's thread. libcurl holds it unretained; the
/// engine retains it until the handle has left the multi handle.
final class Transfer {
    typealias Waiter<Value: Sendable> = CheckedContinuation<Result<Value, HTTPError>, Never>

    let id: UInt64
    /// Without its body once libcurl has that.
    var request: HTTPRequest
    /// What libcurl reads while it has the handle, like ``headers``.
    let target: Target
    let streamed: Bool
    let started = IOInstant.now
    unowned let engine: TransferEngine

    /// `nil` once the transfer has ended.
    var easy: EasyHandle?
    var headers: HeaderList?

    var status = 0
    var headerBytes: [UInt8] = []
    var headComplete = false
    private var isAtStatusLine = true
    /// The body of a whole answer, or what a stream's reader has not taken yet.
    var body: [UInt8] = []
    var paused = false
    /// Whether the answer comes as a stream of an HTTP/2 connection, beside others.
    private var isMultiplexed = false
    /// Bytes of all heads so far, interim ones and trailers included.
    private var headBytes = 0

    var connectBegan: IOInstant?
    /// Whether a name is being looked up for this request, on a thread of libcurl's.
    var isResolving = false
    /// Whether a connection was found, or one is being made.
    var hasPlace = false
    /// The engine's count of turns when the request began.
    let turn: Int
    /// When the request last began to go out; `nil` while nothing of it has.
    private var sentAt: IOInstant?
    var wasSent: Bool { sentAt != nil }
    /// Whether it has gone out in vain and is about to go out again.
    private(set) var resends = false
    private var wasResent = false

    /// Why a callback told libcurl to stop.
    var failure: HTTPError?
    /// How the transfer ended, for a stream whose reader is still to learn it.
    var end: Result<Void, HTTPError>?
    /// Known once the transfer has ended.
    var version = HTTPVersion.http11
    /// Whether it is in the engine's list of transfers whose waiters have something to learn.
    var noted = false

    var totalTimer: IOTimer?
    var firstByteTimer: IOTimer?

    /// Who waits, and for what.
    enum Waiting {
        case whole(Waiter<HTTPResponse>)
        case head(Waiter<HTTPResponse>)
        case chunk(Waiter<[UInt8]?>)
    }
    var waiting: Waiting?

    var url: HTTPURL { target.url }

    init(id: UInt64, request: consuming HTTPRequest, target: Target, streamed: Bool, engine: TransferEngine) {
        self.id = id
        self.request = request
        self.target = target
        self.streamed = streamed
        self.engine = engine
        turn = engine.turns
    }

    /// Unread bytes of a stream above which libcurl is told to pause.
    static let highWater = 256 << 10
    /// Unread bytes above which a stream on HTTP/2 is given up. It is never paused: libcurl would leave its frames where
    /// they are, before those of the other streams of the connection.
    static let maxBacklog = 8 << 20
    /// The most header bytes one answer may have: its own head, those of interim answers, and trailers.
    static let maxHeaderBytes = 256 << 10
    /// What most heads have room in.
    private static let usualHeaderBytes = 480

    func error(_ code: HTTPError.Code, _ text: String, curlCode: CURLcode = CURLE_OK) -> HTTPError {
        HTTPError(
            code: code, message: "\(request.method) \(url): \(text)", curlCode: Int(curlCode.rawValue), wasSent: wasSent
        )
    }

    // MARK: - Called by libcurl

    /// Sets the callbacks of `easy`, all with this transfer as context, and the connection's with the engine.
    func listen(to easy: EasyHandle) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        easy.set(CURLOPT_PRIVATE, pointer: context)
        parley_easy_on_header(
            easy.raw,
            { bytes, size, count, context in
                Transfer.with(context) {
                    $0.received(header: UnsafeRawBufferPointer(start: bytes, count: size * count))
                }
            }, context)
        parley_easy_on_body(
            easy.raw,
            { bytes, size, count, context in
                Transfer.with(context) { $0.received(body: UnsafeRawBufferPointer(start: bytes, count: size * count)) }
            }, context)
        parley_easy_on_resolve(
            easy.raw,
            { _, _, context in Transfer.with(context) { $0.connecting() && $0.mayResolve() } ? 0 : 1 }, context)
        parley_easy_on_open(
            easy.raw,
            { context, _, address in
                Transfer.with(context) {
                    $0.isResolving = false
                    return $0.connecting() ? $0.engine.openSocket(address) : CURL_SOCKET_BAD
                }
            }, context)
        parley_easy_on_sending(
            easy.raw,
            { context, _, _, _, _ in
                Transfer.with(context) { $0.sending() } ? Int32(CURL_PREREQFUNC_OK) : Int32(CURL_PREREQFUNC_ABORT)
            }, context)
    }

    private static func with<T>(_ context: UnsafeMutableRawPointer?, _ body: (Transfer) -> T) -> T {
        guard let context else { preconditionFailure("libcurl lost the context of a callback") }
        return Unmanaged<Transfer>.fromOpaque(context)._withUnsafeGuaranteedRef(body)
    }

    /// A connection is being made. False ends the transfer.
    private func connecting() -> Bool {
        guard resends || mayGoOut() else { return false }
        resends = wasSent
        if connectBegan == nil { connectBegan = .now }
        engine.placed(self)
        return true
    }

    /// Whether a thread may be spent on looking the name up.
    private func mayResolve() -> Bool {
        guard engine.lookups.mayBegin(target) else {
            failure = error(
                .unreachable,
                "the name server has not answered of late, and enough look-ups of \(url.host) still wait for it")
            return false
        }
        isResolving = true
        return true
    }

    /// The connection stands and the request goes out; again when libcurl repeats it. False ends the transfer.
    private func sending() -> Bool {
        guard resends || mayGoOut() else { return false }
        // Of the kept connections others may have been closed with the first. Where requests share connections, each of
        // those that broke with one would make its own.
        if !wasSent, !target.multiplexes { easy?.connectAfreshFromNowOn() }
        isResolving = false
        resends = false
        wasResent = wasSent
        sentAt = .now
        engine.placed(self)
        guard let limit = request.timeouts.firstByte, !headComplete else { return true }
        stop(&firstByteTimer)
        firstByteTimer = engine.deadline(for: self, after: limit, .firstByte)
        return true
    }

    /// Whether the request has not gone out, or may once more.
    ///
    /// libcurl repeats a request up to five times, whatever its method and however late, when a kept connection closes
    /// without an answer. A prompt that takes a model down would be paid for each time, and nobody would know.
    private func mayGoOut() -> Bool {
        guard let sentAt else { return true }
        let age = IOInstant.now - sentAt
        guard request.isSentOnce || age > engine.configuration.resendWindow || wasResent else { return true }
        if failure == nil {
            failure = error(
                .connectionLost,
                "the connection broke without an answer \(age.wholeMilliseconds) ms after the request was sent")
        }
        return false
    }

    private func received(header line: UnsafeRawBufferPointer) -> Int {
        if firstByteTimer != nil { stop(&firstByteTimer) }
        engine.progressed = true
        headBytes += line.count
        guard headBytes <= Self.maxHeaderBytes else {
            failure = error(.tooLarge, "the header is longer than \(Self.maxHeaderBytes) bytes")
            return line.count &+ 1
        }
        if headComplete { return line.count }
        // A status line begins a head; the one before it, if any, was an interim answer's (1xx).
        if isAtStatusLine {
            headerBytes.removeAll(keepingCapacity: true)
            headerBytes.reserveCapacity(Self.usualHeaderBytes)
            if line.starts(with: "HTTP/2".utf8) {
                isMultiplexed = true
                target.multiplexes = true
                engine.noteMultiplexed()
            }
            let digits = line.drop { $0 != UInt8(ascii: " ") }.dropFirst().prefix(3)
            status = digits.reduce(0) { $0 * 10 + Int($1 &- 0x30) }
        }
        headerBytes.append(contentsOf: line)
        isAtStatusLine = line.count <= 2
        if isAtStatusLine, status >= 200 || status == 101 {
            headComplete = true
            if streamed { engine.note(self) }
        }
        return line.count
    }

    private func received(body bytes: UnsafeRawBufferPointer) -> Int {
        engine.progressed = true
        if streamed {
            if isMultiplexed {
                guard body.count + bytes.count <= Self.maxBacklog else {
                    failure = error(.tooLarge, "its reader is \(Self.maxBacklog) bytes behind")
                    return bytes.count &+ 1
                }
            } else if body.count >= Self.highWater {
                paused = true
                return parley_write_pause
            }
            engine.note(self)
        } else {
            guard body.count + bytes.count <= request.maxBodyBytes else {
                failure = tooLarge
                return bytes.count &+ 1
            }
            if body.isEmpty, let easy {
                let length = parley_easy_size(easy.raw, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T)
                if length > bytes.count { body.reserveCapacity(Int(min(length, 1 << 20))) }
            }
        }
        body.append(contentsOf: bytes)
        return bytes.count
    }

    // MARK: - Ending

    /// Ended by us rather than by the server: nothing more is delivered.
    var isAborted: Bool {
        if case .failure(let failure) = end {
            failure.code == .cancelled || failure.code == .clientClosed
        } else {
            false
        }
    }

    var tooLarge: HTTPError { error(.tooLarge, "the answer is longer than the \(request.maxBodyBytes) bytes allowed") }

    func stopTimers() {
        stop(&totalTimer)
        stop(&firstByteTimer)
    }

    private func stop(_ timer: inout IOTimer?) {
        if let running = timer { engine.loop.cancel(running) }
        timer = nil
    }

    func head(_ version: HTTPVersion, body: [UInt8] = []) -> HTTPResponse {
        HTTPResponse(status: status, version: version, head: headerBytes, body: body)
    }
}
