import ParleyJSON

/// The members of a job's body, each read with its type and bounds; what is wrong is a failure that names the field.
struct JobFields {
    /// Those that are read, the last of each name.
    private var members: [(name: String, value: JSONElement)] = []
    /// The first of the others: a body may have a hundred thousand, and none is worth more than a look.
    private(set) var unread: [(name: String, value: JSONElement)] = []

    private static let mostUnread = 64

    init(_ body: [UInt8]) throws(JobFailure) {
        let root: JSONElement
        do throws(JSONError) {
            root = try JSONDocument(Self.isMarked(body) ? Array(body.dropFirst(3)) : body).root
        } catch {
            throw JobFailure(.invalidJob, "the body is not JSON: \(error)")
        }
        guard root.kind == .object else {
            throw JobFailure(.invalidJob, "the body is a JSON \(root.kind.shown); an object is needed")
        }
        members.reserveCapacity(min(root.count, Self.names.count))
        for (name, value) in root.members {
            if Self.isMember(name) {
                if let place = members.firstIndex(where: { $0.name == name }) {
                    members[place].value = value
                } else {
                    members.append((name, value))
                }
            } else if unread.count < Self.mostUnread {
                unread.append((name, value))
            }
        }
    }

    /// Whether the text begins with UTF-8's byte order mark, as editors and .NET write it.
    private static func isMarked(_ body: [UInt8]) -> Bool {
        body.first == 0xEF && body.starts(with: [0xEF, 0xBB, 0xBF])
    }

    /// The member's value; `null` counts as absent.
    subscript(name: String) -> JSONElement? {
        guard let value = members.first(where: { $0.name == name })?.value, !value.isNull else { return nil }
        return value
    }

    func string(_ name: String, max: Int) throws(JobFailure) -> String? {
        guard let value = self[name] else { return nil }
        return try value.checkedString(name, max: max)
    }

    func bool(_ name: String) throws(JobFailure) -> Bool? {
        guard let value = self[name] else { return nil }
        guard let bool = value.bool else { throw value.wrongType(name, "true or false") }
        return bool
    }

    func query(max: Int) throws(JobFailure) -> String {
        guard let value = self["query"] else { throw JobFailure(.invalidJob, "query is missing") }
        let query = try value.checkedString("query", max: max)
        guard query.utf8.contains(where: { $0 > 0x20 }) else {
            throw JobFailure(.invalidJob, "query is empty; a question is needed")
        }
        return query
    }

    /// The question made to stand alone; a blank one is none.
    func rewrittenQuery(max: Int) throws(JobFailure) -> String? {
        guard let query = try string("rewritten_query", max: max), query.utf8.contains(where: { $0 > 0x20 }) else {
            return nil
        }
        return query
    }

    func timestamp(_ name: String) throws(JobFailure) -> Timestamp? {
        guard let text = try string(name, max: 64) else { return nil }
        guard let timestamp = Timestamp(text) else {
            throw JobFailure(
                .invalidJob, "\(name) is \(shown(text)); an RFC 3339 time is needed, such as 2026-11-22T22:00:30Z")
        }
        return timestamp
    }

    func history(maxTurns: Int) throws(JobFailure) -> [Turn] {
        guard let value = self["history"] else { return [] }
        guard value.kind == .array else { throw value.wrongType("history", "an array of turns") }
        guard value.count <= maxTurns else {
            throw JobFailure(.tooLarge, "history has \(value.count) turns; at most \(maxTurns) are allowed")
        }
        var turns: [Turn] = []
        turns.reserveCapacity(value.count)
        for (index, element) in value.elements.enumerated() {
            let name = "history[\(index)]"
            guard element.kind == .object else { throw element.wrongType(name, "an object with role and content") }
            let role: Turn.Role? = try element.choice("role", in: name)
            guard let role else { throw JobFailure(.invalidJob, "\(name).role is missing") }
            guard let content = element["content"] else { throw JobFailure(.invalidJob, "\(name).content is missing") }
            turns.append(Turn(role: role, content: try content.checkedString(name + ".content", max: Int.max)))
        }
        return turns
    }

    func options(maxName: Int) throws(JobFailure) -> JobOptions {
        var options = JobOptions()
        guard let value = self["options"], !value.isEmptyArray else { return options }
        guard value.kind == .object else { throw value.wrongType("options", "an object") }
        if let model = value["model"], !model.isNull {
            options.model = try model.checkedString("options.model", max: maxName)
        }
        options.temperature = try value.number("temperature", in: 0...2)
        options.maxTokens = try value.integer("max_tokens", in: 1...1_000_000)
        options.seed = try value.integer("seed", in: Int.min...Int.max)
        options.topK = try value.integer("top_k", in: 1...64)
        options.retrieve = try value.choice("retrieve", in: "options")
        options.cache = try value.choice("cache", in: "options") ?? .use
        return options
    }

    func metadata(max: Int) throws(JobFailure) -> [UInt8]? {
        guard let value = self["metadata"], !value.isEmptyArray else { return nil }
        guard value.kind == .object else { throw value.wrongType("metadata", "an object") }
        guard value.raw.count <= max else {
            throw JobFailure(.tooLarge, "metadata has \(value.raw.count) bytes; at most \(max) are allowed")
        }
        return Array(value.raw)
    }
}

extension JSONElement {
    /// PHP writes an empty object so, unless told otherwise.
    fileprivate var isEmptyArray: Bool { kind == .array && count == 0 }

    fileprivate func checkedString(_ name: String, max: Int) throws(JobFailure) -> String {
        guard let text = string else { throw wrongType(name, "a string") }
        guard text.utf8.count <= max else {
            throw JobFailure(.tooLarge, "\(name) has \(text.utf8.count) bytes; at most \(max) are allowed")
        }
        guard !hasEscapes || !text.utf8.contains(0) else {
            throw JobFailure(.invalidJob, "\(name) contains a NUL character")
        }
        return text
    }

    fileprivate func wrongType(_ name: String, _ wanted: String) -> JobFailure {
        JobFailure(.invalidJob, "\(name) is a JSON \(kind.shown); \(wanted) is needed")
    }

    fileprivate func number(_ name: String, in range: ClosedRange<Double>) throws(JobFailure) -> Double? {
        guard let value = self[name], !value.isNull else { return nil }
        guard let number = value.double else { throw value.wrongType("options.\(name)", "a number") }
        guard range.contains(number) else {
            throw JobFailure(
                .invalidJob,
                "options.\(name) is \(number); \(Int(range.lowerBound)) to \(Int(range.upperBound)) is allowed")
        }
        return number
    }

    fileprivate func integer(_ name: String, in range: ClosedRange<Int>) throws(JobFailure) -> Int? {
        guard let value = self[name], !value.isNull else { return nil }
        guard value.kind == .number else { throw value.wrongType("options.\(name)", "an integer") }
        guard let integer = value.int, range.contains(integer) else {
            let text = String(decoding: value.raw.prefix(40), as: UTF8.self)
            let allowed = range == Int.min...Int.max ? "a 64-bit integer" : "\(range.lowerBound) to \(range.upperBound)"
            throw JobFailure(.invalidJob, "options.\(name) is \(text); \(allowed) is allowed")
        }
        return integer
    }

    fileprivate func choice<T: RawRepresentable & CaseIterable>(
        _ name: String, in parent: String
    ) throws(JobFailure) -> T? where T.RawValue == String {
        guard let value = self[name], !value.isNull else { return nil }
        guard let text = value.string else { throw value.wrongType("\(parent).\(name)", "a string") }
        guard let choice = T(rawValue: text) else {
            let allowed = T.allCases.map(\.rawValue).joined(separator: ", ")
            throw JobFailure(.invalidJob, "\(parent).\(name) is \(shown(text)); allowed are \(allowed)")
        }
        return choice
    }
}

extension JSONElement.Kind {
    fileprivate var shown: String {
        switch self {
        case .null: "null"
        case .true, .false: "boolean"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}
