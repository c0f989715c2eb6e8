/// A parsed JSON text: the bytes as they came and a flat index into them.
///
/// Why not `JSONDecoder`: a worker's whole budget for a job is some tens of microseconds, `metadata` is echoed byte for
/// byte, and hostile input must meet limits of ours (depth, size, invalid UTF-8) with an offset in the message. The
/// parser allocates one index per document, never recurses, and leaves strings and numbers undecoded until asked for.
package struct JSONDocument: Sendable {
    let storage: Storage

    final class Storage: Sendable {
        let bytes: [UInt8]
        let nodes: [Node]

        init(bytes: [UInt8], nodes: [Node]) {
            self.bytes = bytes
            self.nodes = nodes
        }
    }

    /// One value: where its text is, and where in the index the value after it is.
    struct Node: Sendable {
        var kind: JSONElement.Kind
        /// Strings only: the text has escapes.
        var escaped = false
        /// Arrays only: of many numbers and nothing else, which have no nodes.
        var isText = false
        var start: UInt32
        var end: UInt32 = 0
        /// Index of the first node behind this value and all that it contains.
        var next: UInt32 = 0
        /// Arrays: number of elements. Objects: number of members.
        var count: UInt32 = 0
    }

    /// Parses `bytes` as one JSON value (RFC 8259, UTF-8, with or without surrounding white space).
    ///
    /// - Parameter maxDepth: how many arrays and objects may be open at once. Default 64.
    /// - Throws: ``JSONError`` for anything else: trailing text, control characters in strings, invalid UTF-8, a byte
    ///   order mark, NaN, nesting beyond `maxDepth`.
    package init(_ bytes: [UInt8], maxDepth: Int = 64) throws(JSONError) {
        guard bytes.count < Int(UInt32.max) else { throw JSONError("text of \(bytes.count) bytes is too long", at: 0) }
        let result: Result<[Node], JSONError> = bytes.withUnsafeBufferPointer { buffer in
            var parser = JSONParser(bytes: buffer, maxDepth: maxDepth)
            do throws(JSONError) {
                try parser.parseDocument()
                return .success(parser.nodes)
            } catch {
                return .failure(error)
            }
        }
        storage = Storage(bytes: bytes, nodes: try result.get())
    }

    /// Gives each number of `text`, an array of them that was parsed before, its node.
    init(numbers text: ArraySlice<UInt8>) {
        let bytes = Array(text)
        let nodes = bytes.withUnsafeBufferPointer { buffer in
            var parser = JSONParser(bytes: buffer, maxDepth: 1, manyNumbers: .max)
            try? parser.parseDocument()
            return parser.nodes
        }
        storage = Storage(bytes: bytes, nodes: nodes)
    }

    /// The first place from `start` on that holds a quotation mark, a backslash or a control character; the end when there
    /// is none. For those who cut texts before they are parsed.
    package static func endOfPlainText(in text: ArraySlice<UInt8>, from start: Int) -> Int {
        text.withUnsafeBufferPointer { bytes in
            text.startIndex + PlainText.end(in: bytes, from: start - text.startIndex, isASCII: false)
        }
    }

    /// The document's one value.
    package var root: JSONElement { JSONElement(storage: storage, index: 0) }
}
