import ParleyJSON

/// How attributes stand in the metadata of a record, and filters in a query. A record says of tenant, agent and language that it
/// has none by an empty text: Chroma finds no record by what is missing.
enum ChromaAttributes {
    static func write(_ passage: Passage, to json: inout JSONWriter) {
        let attributes = passage.attributes
        json.member("tenant", attributes.tenant ?? "")
        json.member("agent", attributes.agent ?? "")
        json.member("language", passage.language)
        json.member("lang", passage.language.map(PassageFilter.primary) ?? "")
        if let date = attributes.date { json.member("date", Int(date.number)) }
        guard !attributes.tags.isEmpty else { return }
        json.member("tags", attributes.tags.joined(separator: ","))
        for tag in attributes.tags {
            json.key(named: key(of: tag))
            json.bool(true)
        }
    }

    private static func key(of tag: String) -> String { "tag:\(tag)" }

    static func read(_ metadata: JSONElement) -> Attributes {
        func text(_ name: String) -> String? { metadata[name]?.string.flatMap { $0.isEmpty ? nil : $0 } }
        var attributes = Attributes(tenant: text("tenant"), agent: text("agent"))
        // What others wrote there is some tenant's at any rate.
        if let tenant = metadata["tenant"], tenant.string == nil, !tenant.isNull {
            attributes.tenant = String(decoding: tenant.raw, as: UTF8.self)
        }
        attributes.tags = AttributeList.tags((text("tags") ?? "").split(separator: ",").map(String.init))
        attributes.date = metadata["date"]?.int.flatMap { UInt32(exactly: $0) }.flatMap { CalendarDate(number: $0) }
        return attributes
    }

    /// Writes the member `where`; nothing when all may be found.
    static func write(_ filter: PassageFilter, hasTenants: Bool, to json: inout JSONWriter) {
        var conditions: [(inout JSONWriter) -> Void] = []
        func either(_ name: StaticString, _ value: String?) {
            conditions.append { json in
                json.object {
                    $0.key(name)
                    $0.object {
                        $0.key("$in")
                        $0.array { list in for text in [""] + (value.map { [$0] } ?? []) { list.string(text) } }
                    }
                }
            }
        }
        func compare(_ name: StaticString, _ date: CalendarDate) {
            conditions.append { json in
                json.object {
                    $0.key("date")
                    $0.object { $0.member(name, Int(date.number)) }
                }
            }
        }
        if hasTenants { either("tenant", filter.tenant) }
        if let agent = filter.agent { either("agent", agent) }
        if let language = filter.language { either("lang", PassageFilter.primary(language)) }
        for tag in filter.tags {
            conditions.append { json in
                json.object {
                    $0.key(named: key(of: tag))
                    $0.bool(true)
                }
            }
        }
        if let since = filter.since { compare("$gte", since) }
        if let until = filter.until { compare("$lte", until) }
        guard let first = conditions.first else { return }
        json.key("where")
        guard conditions.count > 1 else { return first(&json) }
        json.object { json in
            json.key("$and")
            json.array { list in for condition in conditions { condition(&list) } }
        }
    }
}
