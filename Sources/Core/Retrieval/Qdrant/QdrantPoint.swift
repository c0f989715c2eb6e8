import ParleyDigest
import ParleyJSON

/// How passages stand in points, and filters in queries.
enum QdrantPoint {
    /// Of the point that says what the index is; its payload has a `parley`, which no passage's has.
    static let indexID = "00000000-0000-8000-8000-000000000001"

    /// Points have numbers or UUIDs for ids: this one is made of the passage's (version 8 of RFC 9562).
    static func id(of passage: String) -> String {
        var bytes = (SHA256.digest(of: Array(passage.utf8)) ?? []).prefix(16)
        guard bytes.count == 16 else { return indexID }
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        let hex = Array(bytes).hex
        var parts: [Substring] = []
        var rest = hex[...]
        for length in [8, 4, 4, 4, 12] {
            parts.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return parts.joined(separator: "-")
    }

    /// What says nothing of tenant, agent or language is found by their being empty.
    static func write(_ passage: Passage, hash: String, to json: inout JSONWriter) {
        json.object { json in
            json.member("id", passage.id)
            json.member("document", passage.documentID)
            json.member("ordinal", passage.ordinal)
            json.member("hash", hash)
            json.member("title", passage.title)
            json.member("heading", passage.heading)
            json.member("text", passage.text)
            json.member("language", passage.language)
            json.member("lang", passage.language.map(PassageFilter.primary))
            json.member("tenant", passage.attributes.tenant)
            json.member("agent", passage.attributes.agent)
            json.member("date", passage.attributes.date.map { Int($0.number) })
            guard !passage.attributes.tags.isEmpty else { return }
            json.key("tags")
            json.array { list in for tag in passage.attributes.tags { list.string(tag) } }
        }
    }

    static func read(_ payload: JSONElement) -> Passage? {
        guard let id = payload["id"]?.string, let document = payload["document"]?.string,
            let ordinal = payload["ordinal"]?.int
        else { return nil }
        var attributes = Attributes(tenant: payload["tenant"]?.string, agent: payload["agent"]?.string)
        attributes.date = payload["date"]?.int.flatMap { UInt32(exactly: $0) }.flatMap { CalendarDate(number: $0) }
        attributes.tags = payload["tags"]?.elements.compactMap(\.string) ?? []
        return Passage(
            id: id, documentID: document, ordinal: ordinal, title: payload["title"]?.string ?? "",
            heading: payload["heading"]?.string, text: payload["text"]?.string ?? "",
            language: payload["language"]?.string, attributes: attributes)
    }

    // MARK: - Filters

    /// Writes the member `filter`. Whose a passage is is always part of it.
    static func write(_ filter: PassageFilter, to json: inout JSONWriter) {
        json.key("filter")
        json.object { json in
            json.key("must")
            json.array { list in
                own(filter.tenant, "tenant", &list)
                if let agent = filter.agent { own(agent, "agent", &list) }
                if let language = filter.language { own(PassageFilter.primary(language), "lang", &list) }
                for tag in filter.tags { match("tags", tag, &list) }
                if let since = filter.since { compare("date", "gte", Int(since.number), &list) }
                if let until = filter.until { compare("date", "lte", Int(until.number), &list) }
            }
            json.key("must_not")
            json.array { match("parley", "index", &$0) }
        }
    }

    /// Nothing is said, or this.
    private static func own(_ value: String?, _ key: StaticString, _ list: inout JSONWriter) {
        func isEmpty(_ json: inout JSONWriter) {
            json.object {
                $0.key("is_empty")
                $0.object {
                    $0.key("key")
                    $0.string("\(key)")
                }
            }
        }
        guard let value else { return isEmpty(&list) }
        list.object { json in
            json.key("should")
            json.array {
                isEmpty(&$0)
                match(key, value, &$0)
            }
        }
    }

    static func match(_ key: StaticString, _ value: String, _ list: inout JSONWriter) {
        list.object { json in
            json.member("key", "\(key)")
            json.key("match")
            json.object { $0.member("value", value) }
        }
    }

    static func compare(_ key: StaticString, _ comparison: StaticString, _ value: Int, _ list: inout JSONWriter) {
        list.object { json in
            json.member("key", "\(key)")
            json.key("range")
            json.object { $0.member(comparison, value) }
        }
    }
}
