import CCurl
import IOLoop
import Logging

/// A `curl_multi` handle of a client, driven by its loop.
///
/// Not Sendable: everything here, libcurl's callbacks included, happens on the loop's thread. Callbacks only record;
/// continuations are resumed in ``settle()``, after libcurl has returned.
final class TransferEngine {
    let loop: IOLoop
    let configuration: HTTPClientConfiguration
    let logger: Logger

    let multi: UnsafeMutableRawPointer?
    var transfers: [UInt64: Transfer] = [:]
    var inFlight = 0
    private var nextID: UInt64
    private let stride: UInt64
    private var idle: [EasyHandle] = []
    /// Few: looked through faster than hashed.
    private var targets: [Target] = []
    private var headerLists: [HeaderList] = []
    private let ownHeaders: [HTTPHeader]
    private var noted: [Transfer] = []
    private var kickPending = false
    private(set) var closed = false
    /// When a connection to an origin last timed out; see ``mayConnectAgain(_:)``.
    private var connectTimeouts: [String: IOInstant] = [:]
    var lookups = Lookups()

    /// Requests that have no connection yet, and how many of them the client's tally knows of.
    private var waiting = 0
    private var tallied = 0
    private let tally: WaitingTally
    /// How often what was begun in a turn of the loop was handed to libcurl.
    private(set) var turns = 0

    // libcurl's sockets and timer, see TransferEngine+Sockets.swift.
    var sockets: [Int32: WatchedSocket] = [:]
    var timerDue: IOInstant?
    /// Sockets that carry HTTP/2, and whether anything arrived since the last call into libcurl; see ``nudge()``.
    var multiplexed: Set<Int32> = []
    var progressed = false
    var acting: curl_socket_t = -1
    var nudgePending = false
    var armedTimer: (timer: IOTimer, due: IOInstant)?

    /// Easy handles kept for reuse.
    private static let maxIdleHandles = 256
    /// Targets kept for reuse; who asks for more different ones has no use for them.
    private static let maxTargets = 64
    /// Header lists kept for reuse.
    private static let maxHeaderLists = 8

    /// - Parameter ids: the first transfer's number, and how far apart they are.
    init(
        loop: IOLoop, configuration: HTTPClientConfiguration, ids: (first: Int, stride: Int), tally: WaitingTally,
        logger: Logger
    ) {
        self.loop = loop
        self.tally = tally
        nextID = UInt64(ids.first)
        stride = UInt64(ids.stride)
        self.configuration = configuration
        self.logger = logger
        ownHeaders = [
            HTTPHeader("User-Agent", configuration.userAgent), HTTPHeader("Accept-Encoding", EasyHandle.encodings),
        ]
        multi = curlReady == CURLE_OK ? curl_multi_init() : nil
        guard let multi else { return }
        let context = Unmanaged.passUnretained(self).toOpaque()
        parley_multi_on_socket(
            multi,
            { _, fd, what, context, _ in
                TransferEngine.with(context) { $0.watch(fd, what) }
                return 0
            }, context)
        parley_multi_on_timer(
            multi,
            { _, milliseconds, context in
                TransferEngine.with(context) { $0.setTimer(milliseconds) }
                return 0
            }, context)
        let hosts = max(1, configuration.maxConnectionsPerHost)
        let total = max(1, configuration.maxConnections)
        _ = parley_multi_set_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_MULTIPLEX))
        _ = parley_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, hosts)
        _ = parley_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, total)
        // The default follows the number of requests in flight, and closes idle connections when it falls.
        _ = parley_multi_set_long(multi, CURLMOPT_MAXCONNECTS, total)
    }

    static func with<T>(_ context: UnsafeMutableRawPointer?, _ body: (TransferEngine) -> T) -> T {
        guard let context else { preconditionFailure("libcurl lost the context of a callback") }
        return Unmanaged<TransferEngine>.fromOpaque(context)._withUnsafeGuaranteedRef(body)
    }

    /// Aborts every transfer and frees libcurl's handle. Later requests fail.
    func close() {
        guard let multi, !closed else { return }
        for transfer in transfers.values where transfer.end == nil {
            end(transfer, .failure(transfer.error(.clientClosed, "the client was closed")))
        }
        closed = true
        idle = []
        curl_multi_cleanup(multi)
        if let armedTimer { loop.cancel(armedTimer.timer) }
        armedTimer = nil
        timerDue = nil
        for fd in Array(sockets.keys) { forget(fd) }
        tellTally()
        settle()
    }

    // MARK: - Beginning

    /// Hands the request to libcurl at the end of this turn of the loop.
    func start(_ request: consuming HTTPRequest, streamed: Bool) throws(HTTPError) -> Transfer {
        let target = try target(of: request.url)
        let transfer = Transfer(id: nextID, request: request, target: target, streamed: streamed, engine: self)
        nextID += stride
        try checkMethod(of: transfer)
        let headers = try headerList(of: transfer)
        guard let multi, !closed else {
            throw closed
                ? transfer.error(.clientClosed, "the client was closed")
                : transfer.error(.failed, "libcurl could not be set up", curlCode: curlReady)
        }
        guard let easy = idle.popLast() ?? newHandle() else {
            throw transfer.error(.failed, "libcurl has no memory for another transfer", curlCode: CURLE_OUT_OF_MEMORY)
        }
        easy.apply(transfer.request, to: target, configuration.versions, streamed: streamed)
        transfer.headers = headers
        parley_easy_set_headers(easy.raw, headers.list)
        transfer.listen(to: easy)
        transfer.request.body = nil
        let added = curl_multi_add_handle(multi, easy.raw)
        guard added == CURLM_OK else {
            throw transfer.error(
                .failed, "libcurl refused the transfer: \(String(cString: curl_multi_strerror(added)))")
        }
        transfer.easy = easy
        transfers[transfer.id] = transfer
        inFlight += 1
        waiting += 1
        if let total = transfer.request.timeouts.total {
            transfer.totalTimer = deadline(for: transfer, after: total, .total)
        }
        kick()
        return transfer
    }

    /// Lets libcurl begin what was added, once for all requests of a turn.
    func kick() {
        guard !kickPending else { return }
        kickPending = true
        loop.atTurnEnd { [weak self] in
            guard let self else { return }
            kickPending = false
            act(on: parley_socket_timeout, 0)
            turns += 1
        }
    }

    private func newHandle() -> EasyHandle? {
        guard let easy = EasyHandle(configuration) else { return nil }
        // A connection outlives the transfer that opened it: closing it is told to the engine.
        parley_easy_on_close(
            easy.raw,
            { context, fd in TransferEngine.with(context) { $0.closeSocket(fd) } },
            Unmanaged.passUnretained(self).toOpaque())
        return easy
    }

    private func checkMethod(of transfer: Transfer) throws(HTTPError) {
        let method = transfer.request.method
        guard !method.isEmpty, method.utf8.allSatisfy({ (0x41...0x5A).contains($0) || $0 == 0x2D }) else {
            throw HTTPError(
                code: .invalidRequest, message: "\(transfer.url): the method \"\(method)\" is not capital letters")
        }
    }

    private func target(of url: String) throws(HTTPError) -> Target {
        if let known = targets.first(where: { $0.url.string == url }) { return known }
        let target = try Target(url)
        if targets.count >= Self.maxTargets { targets = [] }
        targets.append(target)
        return target
    }

    /// One made before when there is one: a client's requests mostly have the same few headers.
    private func headerList(of transfer: Transfer) throws(HTTPError) -> HeaderList {
        let headers = transfer.request.headers
        let hasBody = transfer.request.body != nil
        if let known = headerLists.first(where: { $0.hasBody == hasBody && $0.headers == headers }) { return known }
        if let fault = HeaderList.fault(in: headers) { throw transfer.error(.invalidRequest, fault) }
        let list = HeaderList(headers, ownHeaders: ownHeaders, hasBody: hasBody)
        if headerLists.count >= Self.maxHeaderLists { headerLists.removeFirst() }
        headerLists.append(list)
        return list
    }

    // MARK: - Driving

    func act(on fd: curl_socket_t, _ mask: Int32) {
        guard let multi, !closed else { return }
        var running: Int32 = 0
        acting = fd
        _ = curl_multi_socket_action(multi, fd, mask, &running)
        if progressed { nudge() }
        settle()
        tellTally()
    }

    /// A connection was found for the request, or one is being made.
    func placed(_ transfer: Transfer) {
        guard !transfer.hasPlace else { return }
        transfer.hasPlace = true
        waiting -= 1
        if transfer.turn != turns { tally.ended(transfer) }
    }

    private func tellTally() {
        guard waiting != tallied else { return }
        let change = waiting - tallied
        tallied = waiting
        tally.add(change)
    }

    /// Learns from libcurl what has finished and resumes whoever waits.
    func settle() {
        var code = CURLE_OK
        while let multi, !closed, let raw = parley_multi_next_finished(multi, &code) {
            guard let context = parley_easy_context(raw) else { continue }
            finished(Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue(), code)
        }
        guard !noted.isEmpty else { return }
        let ready = noted
        noted.removeAll(keepingCapacity: true)
        for transfer in ready {
            transfer.noted = false
            serve(transfer)
        }
    }

    /// Remembers that a stream has news for its reader.
    func note(_ transfer: Transfer) {
        guard !transfer.noted else { return }
        transfer.noted = true
        noted.append(transfer)
    }

    /// Fails the transfer with a timeout unless it has ended by then.
    func deadline(for transfer: Transfer, after limit: Duration, _ phase: HTTPError.Phase) -> IOTimer {
        loop.schedule(after: limit) { [weak self, id = transfer.id] in
            guard let self, let transfer = transfers[id] else { return }
            let what = phase == .total ? "no complete answer" : "no first byte of an answer"
            fail(id, transfer.error(.timedOut(phase), "\(what) within \(limit)"))
        }
    }

    // MARK: - Ending

    private func finished(_ transfer: Transfer, _ code: CURLcode) {
        guard let multi, let easy = transfer.easy else { return }
        guard code != CURLE_OK else {
            // To libcurl an answer that ends inside its head is one.
            let text = "the connection was closed before the answer's header was complete"
            return end(transfer, transfer.headComplete ? .success(()) : .failure(transfer.error(.connectionLost, text)))
        }
        // Of a look-up that is over, no thread is left.
        if code != CURLE_OPERATION_TIMEDOUT { transfer.isResolving = false }
        if transfer.failure == nil, code == CURLE_OPERATION_TIMEDOUT, mayConnectAgain(transfer) {
            remove(transfer, easy, from: multi)
            if curl_multi_add_handle(multi, easy.raw) == CURLM_OK { return kick() }
        }
        let failure = transfer.failure ?? describe(code, transfer, easy)
        logger.debug("HTTP request failed", metadata: ["error": "\(failure)"])
        end(transfer, .failure(failure))
    }

    /// Whether a connect timeout is not one: libcurl's clock for connecting also runs while a request waits for a
    /// connection to become free, so a request whose turn comes late would fail without having tried.
    private func mayConnectAgain(_ transfer: Transfer) -> Bool {
        let limit = transfer.request.timeouts.connect
        if transfer.wasSent { return false }
        if let began = transfer.connectBegan, .now - began >= limit - .milliseconds(2) {
            if connectTimeouts.count >= 1024 { connectTimeouts = [:] }
            connectTimeouts[transfer.url.origin] = .now
            return false
        }
        // It waited for a connection that timed out for another request: trying again one by one would take for ever.
        if let last = connectTimeouts[transfer.url.origin], last >= transfer.started { return false }
        transfer.connectBegan = nil
        return true
    }

    private func version(_ easy: EasyHandle) -> HTTPVersion {
        switch parley_easy_long(easy.raw, CURLINFO_HTTP_VERSION) {
        case parley_seen_http_2: .http2
        case parley_seen_http_1_0: .http10
        default: .http11
        }
    }

    /// Ends a transfer from our side: the connection is closed (HTTP/1) or the stream reset (HTTP/2). Unknown and
    /// ended transfers are ignored: the answer came first.
    func fail(_ id: UInt64, _ failure: HTTPError) {
        guard let transfer = transfers[id] else { return }
        if transfer.end == nil { end(transfer, .failure(failure)) }
        settle()
    }

    private func remove(_ transfer: Transfer, _ easy: EasyHandle, from multi: UnsafeMutableRawPointer) {
        curl_multi_remove_handle(multi, easy.raw)
        guard transfer.isResolving else { return }
        transfer.isResolving = false
        lookups.abandon(transfer.target)
    }

    private func end(_ transfer: Transfer, _ outcome: Result<Void, HTTPError>) {
        if let multi, let easy = transfer.easy {
            transfer.version = version(easy)
            remove(transfer, easy, from: multi)
            easy.clear()
            transfer.headers = nil
            transfer.easy = nil
            if idle.count < Self.maxIdleHandles { idle.append(easy) }
        }
        transfer.stopTimers()
        transfer.end = outcome
        inFlight -= 1
        if !transfer.hasPlace { placed(transfer) }
        if !transfer.streamed { transfers[transfer.id] = nil }
        note(transfer)
    }

    // MARK: - Serving those who wait

    func serve(_ transfer: Transfer) {
        switch transfer.waiting {
        case nil: break
        case .whole(let waiter):
            guard let end = transfer.end else { return }
            transfer.waiting = nil
            waiter.resume(returning: end.map { transfer.head(transfer.version, body: transfer.body) })
        case .head(let waiter):
            // A head that came before the failure is delivered; what came of the body too, then the failure.
            if transfer.headComplete, !transfer.isAborted {
                transfer.waiting = nil
                waiter.resume(returning: .success(transfer.head(transfer.easy.map(version) ?? transfer.version)))
            } else if case .failure(let failure) = transfer.end {
                transfer.waiting = nil
                transfers[transfer.id] = nil
                waiter.resume(returning: .failure(failure))
            }
        case .chunk(let waiter):
            guard let chunk = takeChunk(transfer) else { return }
            transfer.waiting = nil
            waiter.resume(returning: chunk)
        }
    }

    /// What a stream's reader gets next: all that has arrived, the end, or `nil` when there is nothing yet.
    func takeChunk(_ transfer: Transfer) -> Result<[UInt8]?, HTTPError>? {
        if !transfer.body.isEmpty, !transfer.isAborted {
            let chunk = transfer.body
            transfer.body = []
            if transfer.paused { resume(transfer) }
            return .success(chunk)
        }
        guard let end = transfer.end else { return nil }
        transfers[transfer.id] = nil
        return end.map { nil }
    }

    private func resume(_ transfer: Transfer) {
        guard let easy = transfer.easy else { return }
        transfer.paused = false
        curl_easy_pause(easy.raw, CURLPAUSE_CONT)
        kick()
    }

    /// The reader of a stream has gone.
    func abandon(_ id: UInt64) {
        guard let transfer = transfers[id] else { return }
        if transfer.end == nil {
            end(transfer, .failure(transfer.error(.cancelled, "the reader of the body has gone")))
        }
        transfers[id] = nil
        settle()
    }
}
