import CPostgres
import Glibc
import IOLoop
import ParleyPrimitives

/// Rows of text; nil is NULL.
package typealias PostgresRows = [[String?]]

/// One connection, used by one thread at a time: ``PostgresPool`` owns it. Its calls block that thread, none longer than its
/// time.
package final class PostgresConnection {
    private let raw: OpaquePointer
    /// Nothing more can be asked over it.
    package private(set) var isBroken = false

    /// - Parameter setUp: a statement that each connection begins with.
    init(_ address: PostgresAddress, setUp: String?, deadline: ContinuousClock.Instant) throws(PostgresError) {
        let parameters = address.parameters
        let names = CStrings(parameters.map(\.name))
        let values = CStrings(parameters.map(\.value))
        // Expands the URI in `dbname`.
        let started = names.withPointers { names in
            values.withPointers { values in PQconnectStartParams(names, values, 1) }
        }
        guard let raw = started else { throw PostgresError(.unreachable, "libpq has no memory for a connection") }
        self.raw = raw
        parley_pq_drop_notices(raw)
        try connect(deadline)
        guard PQsetnonblocking(raw, 1) == 0 else { throw failure() }
        if let setUp { _ = try query(setUp, deadline: deadline) }
    }

    deinit { PQfinish(raw) }

    private func connect(_ deadline: ContinuousClock.Instant) throws(PostgresError) {
        var status = PQstatus(raw) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING
        while status != PGRES_POLLING_OK {
            guard status != PGRES_POLLING_FAILED else { throw failure() }
            let events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT
            guard wait(for: events, deadline) else {
                isBroken = true
                throw PostgresError(.timedOut, "no connection in time")
            }
            status = PQconnectPoll(raw)
        }
    }

    /// One statement. Values stand in it as `$1`, `$2` and so on and never in its text; PostgreSQL knows no text with a NUL in
    /// it, so that a value's are replaced.
    ///
    /// - Returns: its rows, in order.
    package func query(
        _ sql: String, _ values: [String?] = [], timeout: Duration
    ) throws(PostgresError) -> PostgresRows {
        try query(sql, values, deadline: .now + timeout)
    }

    private func query(
        _ sql: String, _ values: [String?] = [], deadline: ContinuousClock.Instant
    ) throws(PostgresError) -> PostgresRows {
        guard !isBroken else { throw PostgresError(.unreachable, "the connection is broken") }
        let values = CStrings(values.map { $0.map { $0.replacing("\0", with: "\u{FFFD}") } })
        let isSent = values.withPointers {
            PQsendQueryParams(raw, sql, Int32(values.count), nil, $0, nil, nil, 0)
        }
        guard isSent == 1 else { throw failure() }
        try flush(deadline)
        var rows: PostgresRows = []
        var refusal: PostgresError?
        // To the end, also after an error: the next statement would read what is left.
        while let result = try nextResult(deadline) {
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: break
            case PGRES_TUPLES_OK: rows = Self.rows(of: result)
            default: refusal = refusal ?? Self.refusal(result)
            }
        }
        guard let refusal else { return rows }
        // What the server says last before it goes.
        if PQstatus(raw) == CONNECTION_BAD || refusal.sqlState == nil { throw failure() }
        isBroken = refusal.endsConnection
        throw refusal
    }

    /// `body` as one transaction: others see all of it or nothing.
    package func transaction<T>(
        timeout: Duration, _ body: () throws(PostgresError) -> T
    ) throws(PostgresError) -> T {
        _ = try query("BEGIN", timeout: timeout)
        do throws(PostgresError) {
            let value = try body()
            _ = try query("COMMIT", timeout: timeout)
            return value
        } catch {
            // A connection that is dropped rolls back as well.
            if !isBroken, (try? query("ROLLBACK", timeout: timeout)) == nil { isBroken = true }
            throw error
        }
    }

    // MARK: - Waiting

    private func flush(_ deadline: ContinuousClock.Instant) throws(PostgresError) {
        while true {
            switch PQflush(raw) {
            case 0: return
            case 1:
                // The server may want to be read from before it reads on.
                guard wait(for: POLLIN | POLLOUT, deadline) else { throw abandon() }
                guard PQconsumeInput(raw) == 1 else { throw failure() }
            default: throw failure()
            }
        }
    }

    private func nextResult(_ deadline: ContinuousClock.Instant) throws(PostgresError) -> OpaquePointer? {
        while PQisBusy(raw) == 1 {
            guard wait(for: POLLIN, deadline) else { throw abandon() }
            guard PQconsumeInput(raw) == 1 else { throw failure() }
        }
        return PQgetResult(raw)
    }

    /// - Returns: false when the time is up.
    private func wait(for events: Int32, _ deadline: ContinuousClock.Instant) -> Bool {
        while true {
            let left = deadline - .now
            guard left > .zero else { return false }
            var entry = pollfd(fd: PQsocket(raw), events: Int16(events), revents: 0)
            guard entry.fd >= 0 else { return true }
            let count = poll(&entry, 1, Int32(clamping: left.wholeMilliseconds))
            // A descriptor that cannot be waited for is libpq's to find broken.
            if count > 0 || count < 0 && errno != EINTR { return true }
        }
    }

    /// Has the server stop what nobody waits for; the connection is not used again, so that what still comes of it is not
    /// taken for another's answer.
    private func abandon() -> PostgresError {
        isBroken = true
        if let handle = PQgetCancel(raw) {
            let cancelling = Cancelling(handle: handle)
            // Another connection of libpq's own, blocking. Where no thread can be had, `statement_timeout` stops the server.
            try? startThread(named: "pg-cancel") { cancelling.run() }
        }
        return PostgresError(.timedOut, "no answer in time")
    }

    // MARK: - Errors

    /// What libpq says of the connection. It is not used any more.
    private func failure() -> PostgresError {
        isBroken = true
        let text = String(cString: PQerrorMessage(raw))
        let line = text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix(while: \.isWhitespace) }.first ?? ""
        // The server's own refusals at the beginning come without their state.
        let isRefusal =
            PQconnectionUsedPassword(raw) == 1 && text.contains("authentication")
            || PQconnectionNeedsPassword(raw) == 1
            || ["pg_hba.conf", "does not exist", "authentication failed", "certificate", "permission denied"]
                .contains { text.contains($0) }
        return PostgresError(
            isRefusal ? .denied : .unreachable, line.isEmpty ? "the connection broke" : String(line))
    }

    private static func refusal(_ result: OpaquePointer) -> PostgresError {
        func field(_ code: Int32) -> String? { PQresultErrorField(result, code).map { String(cString: $0) } }
        let state = field(parley_pq_sql_state)
        return PostgresError(
            .refused, "the server answered with the error \(state ?? "without a code")", sqlState: state,
            serverWords: field(parley_pq_primary_message))
    }

    private static func rows(of result: OpaquePointer) -> PostgresRows {
        let columns = PQnfields(result)
        return (0..<PQntuples(result)).map { row in
            (0..<columns).map { column in
                guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column) else {
                    return nil
                }
                let bytes = UnsafeRawBufferPointer(start: value, count: Int(PQgetlength(result, row, column)))
                return String(decoding: bytes, as: UTF8.self)
            }
        }
    }
}

/// A request to stop what another connection asked for, made on a thread of its own.
private final class Cancelling: @unchecked Sendable {
    // Proof of @unchecked Sendable: libpq's manual has PQcancel work from any thread, and only the one that `run` is called
    // on touches the handle.
    private let handle: OpaquePointer

    init(handle: OpaquePointer) { self.handle = handle }

    deinit { PQfreeCancel(handle) }

    func run() {
        var words = [CChar](repeating: 0, count: 256)
        PQcancel(handle, &words, Int32(words.count))
    }
}

/// Texts as C wants them: an array of pointers with a NULL at its end.
private struct CStrings {
    private let bytes: [CChar]
    /// Where each begins; nil is NULL.
    private let starts: [Int?]

    var count: Int { starts.count }

    init(_ texts: [String?]) {
        var bytes: [CChar] = []
        starts = texts.map { text in
            guard let text else { return nil }
            let start = bytes.count
            bytes += text.utf8CString
            return start
        }
        self.bytes = bytes
    }

    func withPointers<T>(_ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> T) -> T {
        bytes.withUnsafeBufferPointer { bytes in
            let pointers = starts.map { start in start.flatMap { at in bytes.baseAddress.map { $0 + at } } } + [nil]
            return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
        }
    }
}
