import Glibc
import ParleyJSON

/// A text's vector as its embedder gave it: its numbers, or the JSON text of them, which a store over HTTP passes on
/// without reading and writing hundreds of numbers for each question.
package struct Embedding: Sendable, Equatable, ExpressibleByArrayLiteral {
    private enum Form {
        case numbers([Float])
        /// An array of numbers and nothing else.
        case json(JSONElement)
    }

    private let form: Form

    package init(_ numbers: [Float]) { form = .numbers(numbers) }
    package init(arrayLiteral numbers: Float...) { form = .numbers(numbers) }

    /// - Returns: nil when `json` is not an array of finite numbers.
    init?(_ json: JSONElement) {
        guard json.isNumbers, json.count > 0 else { return nil }
        // What makes a number infinite is a large exponent: rare, so that all are then looked at. With forty digits before
        // the point it is the store's to refuse.
        if Self.hasLargeExponent(json.raw) {
            guard let numbers = json.floats, numbers.allSatisfy(\.isFinite) else { return nil }
        }
        form = .json(json)
    }

    private static func hasLargeExponent(_ text: ArraySlice<UInt8>) -> Bool {
        text.withUnsafeBytes { text in
            guard let start = text.baseAddress else { return false }
            return "eE".utf8.contains { letter in
                var at = 0
                while let found = memchr(start + at, Int32(letter), text.count - at) {
                    at = UnsafeRawPointer(found) - start + 1
                    if at < text.count, text[at] != UInt8(ascii: "-") { return true }
                }
                return false
            }
        }
    }

    /// A vector apart from the answer that it came in, to be kept: read when it is wanted, which few are.
    struct Kept: Sendable {
        fileprivate enum Form {
            case numbers([Float])
            case json([UInt8])
        }

        fileprivate let form: Form

        /// Bytes, about.
        var cost: Int {
            switch form {
            case .numbers(let numbers): 64 + numbers.count * 4
            case .json(let bytes): 64 + bytes.count
            }
        }

        /// It was read before, when it came; nil if it cannot be read again.
        var vector: Embedding? {
            switch form {
            case .numbers(let numbers): Embedding(numbers)
            case .json(let bytes): (try? JSONDocument(bytes).root).flatMap { Embedding($0) }
            }
        }
    }

    var kept: Kept {
        switch form {
        case .numbers(let numbers): Kept(form: .numbers(numbers))
        case .json(let json): Kept(form: .json(Array(json.raw)))
        }
    }

    /// How many numbers it has.
    package var count: Int {
        switch form {
        case .numbers(let numbers): numbers.count
        case .json(let json): json.count
        }
    }

    package var isEmpty: Bool { count == 0 }

    /// Read anew each time when it came as JSON.
    package var numbers: [Float] {
        switch form {
        case .numbers(let numbers): numbers
        case .json(let json): json.floats ?? []
        }
    }

    package static func == (one: Embedding, other: Embedding) -> Bool { one.numbers == other.numbers }

    /// As the array of numbers it came as, or with seven decimals.
    func write(to writer: inout JSONWriter) {
        switch form {
        case .numbers(let numbers): writer.vector(numbers)
        case .json(let json): writer.raw(json.raw)
        }
    }
}
