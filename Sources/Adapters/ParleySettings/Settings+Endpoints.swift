import ParleyPrimitives
import Yams

/// `model.endpoints`: the servers of one model, `URL|WEIGHT, URL|WEIGHT`, or in the file a list of such texts or of mappings with a
/// `url` and a `weight`. `model.url` takes such a text, too.
extension Settings {
    /// One of the servers behind a model.
    package struct Endpoint: Sendable, Equatable {
        package var url: String
        package var weight = 1
    }

    static let endpointWeights = 1...1000
    static let mostEndpoints = 64
    private static let endpointKeys: Set<String> = ["url", "weight"]

    static func isEndpoints(_ key: String) -> Bool {
        key == "model.endpoints" || (isAgentKey(key) && key.hasSuffix(".model.endpoints"))
    }

    /// Says what a list in the file has that no endpoint has.
    static func checkEndpoints(_ list: Node.Sequence, _ key: String, _ path: String, _ problems: inout [String]) {
        for (place, entry) in list.enumerated() where entry.scalar == nil {
            guard let mapping = entry.mapping, mapping["url"]?.scalar != nil else {
                problems.append("\(key) in \(path): entry \(place + 1) is neither URL|WEIGHT nor a mapping with a url")
                continue
            }
            for (name, value) in mapping
            where !endpointKeys.contains(name.string ?? "") || value.scalar == nil {
                problems.append(
                    "\(key) in \(path): \(name.string ?? "?") of entry \(place + 1) is no key of an endpoint; allowed: url, "
                        + "weight")
            }
        }
    }

    /// Whether a key that was given for `others` may be sent to all of `urls`.
    static func areServers(_ urls: [String], among others: [String]) -> Bool {
        urls.allSatisfy { url in others.contains { isSameServer($0, url) } }
    }

    /// What two ways to write one address have in common.
    fileprivate static func plain(_ url: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return url }
        let name = url[..<scheme.lowerBound].lowercased()
        let end = url[scheme.upperBound...].firstIndex { "/?#".contains($0) } ?? url.endIndex
        var server = url[scheme.upperBound..<end].lowercased()
        let port = name == "https" ? ":443" : ":80"
        if server.hasSuffix(port) { server.removeLast(port.count) }
        var path = url[end...]
        while path.last == "/" { path.removeLast() }
        return "\(name)://\(server)\(path)"
    }
}

extension Settings.Model {
    /// Where it is asked.
    package var urls: [String] { endpoints.isEmpty ? [url] : endpoints.map(\.url) }
}

extension SettingsReader {
    /// `model.url` and `model.endpoints`.
    mutating func endpoints(_ prefix: String, _ model: inout Settings.Model) {
        let (urlKey, key) = (prefix + "url", prefix + "endpoints")
        var url: String?
        string(urlKey, &url)
        if let url {
            model.url = url
            model.endpoints = []
            if url.contains(",") || url.contains("|") { read(urlKey, url, &model) }
        }
        var text: String?
        string(key, &text)
        var list: [(url: String, weight: String?)] = []
        while list.count <= Settings.mostEndpoints {
            let place = "\(key).\(list.count)."
            var (url, weight): (String?, String?)
            string(place + "url", &url)
            guard let url else { break }
            string(place + "weight", &weight)
            // `URL|WEIGHT` in a list with other entries.
            if weight == nil { string(place + "name", &weight) }
            list.append((url, weight))
        }
        guard text != nil || !list.isEmpty else { return }
        let said = url == nil ? [] : model.urls
        if let text { read(key, text, &model) } else { take(key, list, &model) }
        if !Settings.areListed(said, in: model.urls) {
            idle(
                "\(urlKey) is \"\(URLText.redacted(url ?? ""))\" and has no effect: \(key) is set, which says where the model is "
                    + "asked; leave one of the two out")
        }
    }

    private mutating func read(_ key: String, _ text: String, _ model: inout Settings.Model) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let pair = part.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
                .map { String($0.trimmingSpaces()) }
            return (url: pair.first ?? "", weight: pair.count > 1 ? pair[1] : nil)
        }
        take(key, parts, &model)
    }

    private mutating func take(
        _ key: String, _ parts: [(url: String, weight: String?)], _ model: inout Settings.Model
    ) {
        guard parts.count <= Settings.mostEndpoints else {
            return problem(
                "\(key) has more than \(Settings.mostEndpoints) endpoints; allowed: \(Settings.mostEndpoints)")
        }
        var endpoints: [Settings.Endpoint] = []
        for (place, part) in parts.enumerated() {
            let isBuiltin = part.url.hasPrefix("builtin:")
            let entry =
                "\(key): entry \(place + 1) is \"\(isBuiltin ? part.url : URLText.redacted(part.url))\""
            guard part.url.hasPrefix("http://") || part.url.hasPrefix("https://") else {
                let what = isBuiltin ? ", which has no endpoints" : ""
                return problem(
                    "\(entry)\(what); allowed: the base URL of a service, such as http://127.0.0.1:8080/v1, with |WEIGHT behind it "
                        + "or not, and commas between several")
            }
            let weight = part.weight.map { Int($0) ?? 0 } ?? 1
            guard Settings.endpointWeights.contains(weight) else {
                return problem(
                    "\(entry) with the weight \"\(part.weight ?? "")\"; allowed: an integer from 1 to 1000; one that is to have "
                        + "no calls is left out")
            }
            if let twin = endpoints.firstIndex(where: { Settings.isSameAddress($0.url, part.url) }) {
                return problem("\(entry), as is entry \(twin + 1); one that is to have more calls has a larger weight")
            }
            endpoints.append(Settings.Endpoint(url: part.url, weight: weight))
        }
        guard let first = endpoints.first else { return }
        model.url = first.url
        model.endpoints = endpoints.count > 1 ? endpoints : []
    }

    /// Whether any of the model's addresses is that of a file that nobody named.
    func areEndpointsOfFoundFile(_ prefix: String) -> Bool {
        ["url", "endpoints", "endpoints.0.url"].contains { isOfFoundFile(prefix + $0) }
    }
}

extension Settings {
    fileprivate static func isSameAddress(_ one: String, _ other: String) -> Bool { plain(one) == plain(other) }

    fileprivate static func areListed(_ some: [String], in all: [String]) -> Bool {
        some.allSatisfy { one in all.contains { isSameAddress($0, one) } }
    }
}
