/// One event of a `text/event-stream`.
package struct ServerSentEvent: Sendable, Equatable {
    /// The `event:` field; `nil` stands for the default, `message`.
    package var event: String?
    /// The `data:` lines joined with a line feed.
    package var data: String
    /// The last `id:` the stream has given, in this event or an earlier one.
    package var id: String?

    package init(event: String? = nil, data: String, id: String? = nil) {
        self.event = event
        self.data = data
        self.id = id
    }
}

/// Turns the bytes of a `text/event-stream` into events, however they are cut into chunks.
///
/// Rules: <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>. Lines end in
/// CR, LF or CRLF; a byte order mark at the start and comments (`: ping`) are skipped; `retry:` is ignored.
///
/// With `carriesJSON` the data are JSON objects, and what some servers make of the format is understood, too:
/// - a line that begins with `{` is an event (an error that a proxy put into the stream);
/// - a field `error` begins an event called `error`, and is its data (llama.cpp before 2025-10);
/// - a data line that cannot continue the text before it begins an event of its own: the blank line between was left
///   out. No JSON text has a closing brace or bracket directly before an opening one.
package struct ServerSentEventParser: Sendable {
    /// Events dropped because they were longer than `maxEventBytes`.
    package private(set) var droppedOversized = 0

    private let maxEventBytes: Int
    private let carriesJSON: Bool
    private var line: [UInt8] = []
    private var event: String?
    private var data: [UInt8] = []
    private var hasData = false
    private var lastID: String?
    private var afterCarriageReturn = false
    private var atStart = true
    private var oversized = false

    /// `maxEventBytes` bounds what is kept of one event. Default 1 MiB.
    package init(maxEventBytes: Int = 1 << 20, carriesJSON: Bool = false) {
        self.maxEventBytes = maxEventBytes
        self.carriesJSON = carriesJSON
    }

    /// The events that `bytes` completes.
    package mutating func feed(_ bytes: some Sequence<UInt8>) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        let done: Void? = bytes.withContiguousStorageIfAvailable { feed($0, into: &events) }
        if done == nil { Array(bytes).withUnsafeBufferPointer { feed($0, into: &events) } }
        return events
    }

    /// Ends the stream. The standard discards an event whose blank line never came; it is returned instead, because
    /// some servers leave the last blank line out, and the caller may drop it. The parser is then as new.
    @discardableResult
    package mutating func finish() -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        if !line.isEmpty { endLine(into: &events) }
        endLine(into: &events)
        self = ServerSentEventParser(maxEventBytes: maxEventBytes, carriesJSON: carriesJSON)
        return events
    }

    private mutating func feed(_ bytes: UnsafeBufferPointer<UInt8>, into events: inout [ServerSentEvent]) {
        var start = 0
        while start < bytes.count {
            if afterCarriageReturn {
                afterCarriageReturn = false
                if bytes[start] == lineFeed {
                    start += 1
                    continue
                }
            }
            guard let end = bytes[start...].firstIndex(where: { $0 == lineFeed || $0 == carriageReturn }) else {
                take(bytes[start...])
                return
            }
            take(bytes[start..<end])
            afterCarriageReturn = bytes[end] == carriageReturn
            endLine(into: &events)
            start = end + 1
        }
    }

    private mutating func take(_ part: Slice<UnsafeBufferPointer<UInt8>>) {
        if oversized { return line.isEmpty ? keepNonBlank(part) : () }
        if line.count + data.count + part.count > maxEventBytes {
            oversized = true
            data = []
            line = []
            return keepNonBlank(part)
        }
        line.append(contentsOf: part)
    }

    /// Of an oversized event's line only one byte is kept, so that its end can be told from a blank line.
    private mutating func keepNonBlank(_ part: Slice<UnsafeBufferPointer<UInt8>>) {
        if !part.isEmpty { line = [UInt8(ascii: ":")] }
    }

    private mutating func endLine(into events: inout [ServerSentEvent]) {
        defer { line.removeAll(keepingCapacity: true) }
        if atStart {
            atStart = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        }
        if line.isEmpty { return dispatch(into: &events) }
        if oversized || line.first == colon { return }
        if carriesJSON, line.first == openingBrace {
            dispatch(into: &events)
            take(data: line[...])
            return dispatch(into: &events)
        }
        let cut = line.firstIndex(of: colon) ?? line.count
        var value = line[min(cut + 1, line.count)...]
        if value.first == space { value = value.dropFirst() }
        switch String(decoding: line[..<cut], as: UTF8.self) {
        case "data":
            if carriesJSON, hasData, cannotContinue(value) { dispatch(into: &events) }
            take(data: value)
        case "error" where carriesJSON:
            dispatch(into: &events)
            event = "error"
            take(data: value)
        case "event": event = value.isEmpty ? nil : String(decoding: value, as: UTF8.self)
        case "id" where !value.contains(0): lastID = String(decoding: value, as: UTF8.self)
        default: break
        }
    }

    private mutating func take(data value: ArraySlice<UInt8>) {
        if hasData { data.append(lineFeed) }
        data.append(contentsOf: value)
        hasData = true
    }

    private func cannotContinue(_ value: ArraySlice<UInt8>) -> Bool {
        let next = value.first { $0 > space }
        guard next == openingBrace || next == openingBracket else { return false }
        let last = data.last { $0 > space }
        return last == closingBrace || last == closingBracket
    }

    private mutating func dispatch(into events: inout [ServerSentEvent]) {
        if oversized {
            droppedOversized += 1
        } else if hasData {
            events.append(ServerSentEvent(event: event, data: String(decoding: data, as: UTF8.self), id: lastID))
        }
        event = nil
        data.removeAll(keepingCapacity: true)
        hasData = false
        oversized = false
    }
}

private let lineFeed = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")
private let colon = UInt8(ascii: ":")
private let space = UInt8(ascii: " ")
private let openingBrace = UInt8(ascii: "{")
private let closingBrace = UInt8(ascii: "}")
private let openingBracket = UInt8(ascii: "[")
private let closingBracket = UInt8(ascii: "]")
