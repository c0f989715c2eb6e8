import ParleyJSON

/// Cuts bytes into the JSON objects and arrays in them: one answer, or one a line as Ollama sends them, or with nothing
/// between them.
///
/// Only brackets and strings are looked at. What is no JSON inside of them is found when the text is parsed.
struct JSONTexts: Sendable {
    private var text: [UInt8] = []
    private var depth = 0
    private var isInString = false
    private var isEscaped = false

    /// A text has begun that has not ended.
    var isInside: Bool { depth > 0 }

    /// The texts that `bytes` complete. Whatever stands between them is left out.
    mutating func feed(_ bytes: ArraySlice<UInt8>) -> [[UInt8]] {
        var texts: [[UInt8]] = []
        var start = bytes.startIndex
        var next = bytes.startIndex
        while next < bytes.endIndex {
            if isInString, !isEscaped {
                next = JSONDocument.endOfPlainText(in: bytes, from: next)
                guard next < bytes.endIndex else { break }
            }
            let (index, byte) = (next, bytes[next])
            next += 1
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                if depth == 0 { start = index }
                depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { continue }
                depth -= 1
                guard depth == 0 else { continue }
                texts.append(text + bytes[start...index])
                text.removeAll(keepingCapacity: true)
            case UInt8(ascii: "\"") where depth > 0: isInString = true
            default: break
            }
        }
        if depth > 0 { text += bytes[start...] }
        return texts
    }
}
