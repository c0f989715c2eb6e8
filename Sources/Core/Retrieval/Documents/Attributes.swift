/// What a document says of itself besides its text and language; filters look at it.
package struct Attributes: Sendable, Hashable {
    /// Whose it is: no other tenant's question finds it. Nil: everybody's. Never empty.
    package var tenant: String?
    /// Whose knowledge it is, of the agents. Nil: any agent's.
    package var agent: String?
    /// Lower-cased, in order, each once.
    package var tags: [String] = []
    package var date: CalendarDate?

    package init(tenant: String? = nil, agent: String? = nil, tags: [String] = [], date: CalendarDate? = nil) {
        self.tenant = tenant
        self.agent = agent
        self.tags = tags
        self.date = date
    }

    /// Equal of equal attributes only; empty of none.
    var digest: String {
        guard self != Attributes() else { return "" }
        return [tenant ?? "", agent ?? "", tags.joined(separator: "\u{1F}"), "\(date?.number ?? 0)"]
            .joined(separator: "\u{1E}")
    }
}

/// A day, as documents and filters write it: `2026-01-31`.
package struct CalendarDate: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// 20260131
    package let number: UInt32

    /// Also reads the day of a time: `2026-01-31T10:00:00Z`.
    package init?(_ text: String) {
        let digits = Array(text.utf8.prefix(10))
        guard digits.count == 10, digits[4] == UInt8(ascii: "-"), digits[7] == UInt8(ascii: "-") else { return nil }
        if text.utf8.count > 10 {
            guard "Tt ".utf8.contains(text.utf8[text.utf8.index(text.utf8.startIndex, offsetBy: 10)]) else {
                return nil
            }
        }
        var number: UInt32 = 0
        for place in [0, 1, 2, 3, 5, 6, 8, 9] {
            guard (0x30...0x39).contains(digits[place]) else { return nil }
            number = number * 10 + UInt32(digits[place] - 0x30)
        }
        self.init(number: number)
    }

    /// Nil of what is no day of the calendar, or of the year 0.
    init?(number: UInt32) {
        let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100)
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let days: [UInt32] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...9999).contains(year), (1...12).contains(month), (1...days[Int(month) - 1]).contains(day) else {
            return nil
        }
        self.number = number
    }

    package static func < (one: CalendarDate, other: CalendarDate) -> Bool { one.number < other.number }

    package var description: String {
        func digits(_ number: UInt32, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        return "\(digits(number / 10_000, 4))-\(digits(number / 100 % 100, 2))-\(digits(number % 100, 2))"
    }
}

/// The attributes that a document's folders, its front matter or its line of JSON give it.
struct AttributeList {
    /// A value that cannot be taken: what is wrong, and what is allowed. Whose document it is would be a guess, so that it is
    /// taken for nobody's and left out.
    struct Mistake: Error, Equatable { let message: String }

    private(set) var attributes = Attributes()
    private(set) var language: String?
    /// A name that was perhaps meant for `tenant`: `tenant_id`.
    private(set) var unclear: String?

    /// The name that `key` means; nil: it is none of an attribute.
    static func name(_ key: String) -> String? {
        switch trimmed(key).lowercased() {
        case let name where TenantWord.isIn(name: name): "tenant"
        case "agent": "agent"
        case "language", "lang": "language"
        case "tags", "tag": "tags"
        case "date": "date"
        default: nil
        }
    }

    /// - Parameter key: a name that ``name(_:)`` knows; others are passed over.
    mutating func set(_ key: String, _ values: [String]) throws(Mistake) {
        guard let name = Self.name(key) else { return }
        guard name != "tenant" || trimmed(key).lowercased() == name else {
            unclear = key
            return
        }
        let values = values.map { String(trimmed($0)) }
        guard name == "tags" || values.count == 1, let value = values.first ?? "" as String? else {
            throw Mistake(message: "\(name) has \(values.count) values; one is allowed")
        }
        guard name == "tags" || !value.isEmpty else {
            throw Mistake(message: "\(name) is empty; name one, or leave it out")
        }
        switch name {
        case "tenant":
            guard attributes.tenant == nil || attributes.tenant == value else {
                throw Mistake(
                    message: "tenant is \(value) here and \(attributes.tenant ?? "") above: a document has one tenant")
            }
            guard value.utf8.count <= 256, value.unicodeScalars.allSatisfy({ $0.value >= 0x20 }) else {
                throw Mistake(message: "tenant is longer than 256 bytes, or has control characters")
            }
            attributes.tenant = value
        case "agent": attributes.agent = value
        case "language": language = value
        case "date":
            guard let date = CalendarDate(value) else {
                throw Mistake(message: "date is \(value); write it as 2026-01-31")
            }
            attributes.date = date
        default:
            attributes.tags = Self.tags(attributes.tags + values.flatMap { $0.split(separator: ",").map(String.init) })
        }
    }

    /// What `other` says goes before what this one does; but both may name a tenant only if it is the same one.
    mutating func add(_ other: AttributeList) throws(Mistake) {
        if let tenant = other.attributes.tenant { try set("tenant", [tenant]) }
        attributes.agent = other.attributes.agent ?? attributes.agent
        attributes.date = other.attributes.date ?? attributes.date
        attributes.tags = Self.tags(attributes.tags + other.attributes.tags)
        language = other.language ?? language
        unclear = other.unclear ?? unclear
    }

    /// - Throws: when it is not certain that the document is nobody's.
    func verify() throws(Mistake) {
        guard let unclear, attributes.tenant == nil else { return }
        throw Mistake(message: "\(unclear) is no attribute: write tenant if that is meant, else call it something else")
    }

    static func tags(_ tags: [String]) -> [String] {
        Set(tags.map { trimmed($0).lowercased() }.filter { !$0.isEmpty }).sorted()
    }

    /// Of folders that are called `key=value`, anywhere on a file's path: `tenant=shop-eu/lang=en/returns.md`. The deeper one
    /// goes first.
    init(folders path: String) throws(Mistake) {
        for folder in path.split(separator: "/").dropLast() {
            let parts = folder.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, Self.name(parts[0]) != nil else { continue }
            do throws(Mistake) { try set(parts[0], [parts[1]]) } catch {
                throw Mistake(message: "the folder \(folder): \(error.message)")
            }
        }
    }

    init() {}

    mutating func suggest(language: String) { self.language = language }
}
