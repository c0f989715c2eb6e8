import Yams

extension Settings {
    /// `agents.<name>.*`: an agent, with the default's value wherever it has none of its own.
    package struct Agent: Sendable, Equatable {
        package var vectorsURL: String
        package var vectorsToken: String?
        package var model: Model
        package var retrieval: Retrieval
        package var prompt: Prompt
        /// `limits.*`; nil of the default one, whose are the model's.
        package var rates: Limits.Rates?
    }

    /// The default one.
    package var standardAgent: Agent {
        Agent(vectorsURL: vectorsURL, vectorsToken: vectorsToken, model: model, retrieval: retrieval, prompt: prompt)
    }

    /// `routing.*`
    package struct Routing: Sendable, Equatable {
        /// Who tells which agent a question is for, and whether it needs passages.
        package enum Classifier: Sendable, Equatable {
            case builtin
            /// Nobody: jobs that name no agent go to the default one, and `auto` retrieves.
            case off
            /// A file of weights that `scripts/train-router` made.
            case file(String)
        }
        package var model = Classifier.builtin
    }

    /// What an agent may have of its own: the end of its keys, behind `agents.<name>.`.
    static let agentKeys: Set<String> = [
        "vectors.url", "vectors.token", "vectors.token_file", "model.url", "model.name", "model.api_key",
        "model.api_key_file", "model.omit", "model.stream", "model.reasoning", "model.timeout", "model.max_concurrency",
        "model.prices", "model.fallbacks", "model.endpoints", "model.hedge", "model.feed", "model.max_batch",
        "model.max_batch_tokens",
        "model.template",
        "model.batch_hours", "model.concurrency", "model.batch_prices",
        "retrieval.mode", "retrieval.top_k", "retrieval.timeout", "retrieval.rewrite", "retrieval.hybrid",
        "retrieval.min_score", "retrieval.empty", "retrieval.filter", "prompt.system", "prompt.user", "prompt.refusal",
        "prompt.history_tokens", "prompt.context_tokens", "limits.requests_per_minute", "limits.tokens_per_minute",
        "limits.concurrent",
    ]

    private static let agentsPrefix = "agents."
    private static let variablesPrefix = "PARLEY_AGENTS_"

    /// The name in `agents.<name>`, alone or with a key behind it; nil of any other key.
    private static func agentName(in key: String) -> Substring? {
        guard key.hasPrefix(agentsPrefix) else { return nil }
        return key.dropFirst(agentsPrefix.count).prefix { $0 != "." }
    }

    /// Whether it is a key of an agent.
    static func isAgentKey(_ key: String) -> Bool {
        guard let name = agentName(in: key), !name.isEmpty else { return false }
        return agentKeys.contains(String(key.dropFirst(agentsPrefix.count + name.count + 1)))
    }

    /// The keys that `key`, which is none, might have been meant for.
    static func agentKeys(like key: String) -> [String] {
        guard let name = agentName(in: key) else { return [] }
        return agentKeys.sorted().map { "\(agentsPrefix)\(name).\($0)" }
    }

    /// The agents that flags, the environment and the file speak of, in alphabetical order.
    ///
    /// - Parameter root: the file's. An agent in it may have nothing of its own.
    static func agentNames(flags: [String], environment: some Sequence<String>, root: Node?) -> [String] {
        var names = Set(flags.compactMap { agentName(in: $0).map(String.init) })
        if let root { collectAgentNames(in: root, prefix: "", &names) }
        let variables = Set(names.map(variable(of:)))
        for name in environment.compactMap(agentName(ofVariable:)) where !variables.contains(variable(of: name)) {
            names.insert(name)
        }
        return names.filter { !$0.isEmpty }.sorted()
    }

    private static func collectAgentNames(in node: Node, prefix: String, _ names: inout Set<String>) {
        if let name = agentName(in: prefix) {
            names.insert(String(name))
            return
        }
        for (key, value) in node.mapping ?? [:] {
            let key = key.string ?? ""
            collectAgentNames(in: value, prefix: prefix.isEmpty ? key : "\(prefix).\(key)", &names)
        }
    }

    /// The agent whose variable it is: `PARLEY_AGENTS_`, its name, and one of ``agentKeys``. Nil of others.
    static func agentName(ofVariable name: String) -> String? {
        guard name.hasPrefix(variablesPrefix) else { return nil }
        let rest = name.dropFirst(variablesPrefix.count)
        let ends = agentKeys.map { "_" + variable(of: $0) }.filter { rest.hasSuffix($0) && rest.count > $0.count }
        return ends.max { $0.count < $1.count }.map { rest.dropLast($0.count).lowercased() }
    }

    static func variable(of key: String) -> String {
        key.uppercased().replacing(".", with: "_").replacing("-", with: "_")
    }

    /// To be called when everything else is read: what an agent has not of its own is the default's.
    mutating func readAgents(_ names: [String], _ reader: inout SettingsReader, openAIKey: String?) {
        for name in names {
            guard Self.isAgentName(name) else {
                reader.problem(
                    "agents.\(name): \"\(name)\" cannot be an agent's name; allowed: 1 to 32 of a-z, 0-9, - and _, beginning with "
                        + "a letter or digit, but not none")
                continue
            }
            agents[name] = agent("agents.\(name).", name: name, &reader, openAIKey: openAIKey)
        }
    }

    private static func isAgentName(_ name: String) -> Bool {
        guard (1...32).contains(name.utf8.count), name != "none", let first = name.utf8.first else { return false }
        func isLetterOrDigit(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        return isLetterOrDigit(first)
            && name.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
    }

    private mutating func agent(
        _ prefix: String, name: String, _ reader: inout SettingsReader, openAIKey: String?
    ) -> Agent {
        var agent = standardAgent
        reader.string(prefix + "vectors.url", &agent.vectorsURL)
        // A secret goes to the server that it was given for, and to no other one that an agent names.
        if !Self.isSameServer(agent.vectorsURL, vectorsURL) { agent.vectorsToken = nil }
        reader.secret(prefix + "vectors.token", &agent.vectorsToken)
        reader.endpoints(prefix + "model.", &agent.model)
        if !Self.areServers(agent.model.urls, among: model.urls) { agent.model.apiKey = nil }
        reader.secret(prefix + "model.api_key", &agent.model.apiKey)
        if agent.model.apiKey == nil, agent.model.urls != model.urls, let openAIKey {
            if reader.areEndpointsOfFoundFile(prefix + "model.") {
                withheldKeys.append("agents.\(name).model")
            } else {
                agent.model.apiKey = openAIKey
            }
        }
        reader.string(prefix + "model.name", &agent.model.name)
        reader.choices(prefix + "model.omit", &agent.model.omit)
        reader.choice(prefix + "model.stream", &agent.model.stream)
        reader.choice(prefix + "model.reasoning", &agent.model.reasoning)
        reader.duration(prefix + "model.timeout", &agent.model.timeout, in: .milliseconds(1) ... .seconds(1500))
        reader.int(prefix + "model.max_concurrency", &agent.model.maxConcurrency, in: 1...65_535)
        reader.choice(prefix + "model.concurrency", &agent.model.concurrency)
        reader.feed(prefix + "model.", &agent.model)
        reader.prices(prefix + "model.prices", &agent.model.prices)
        agent.model.fallbacks = fallbacks(
            prefix + "model.fallbacks", of: agent.model, &reader, openAIKey: openAIKey)
        reader.choice(prefix + "retrieval.mode", &agent.retrieval.mode)
        reader.int(prefix + "retrieval.top_k", &agent.retrieval.topK, in: 1...64)
        reader.duration(prefix + "retrieval.timeout", &agent.retrieval.timeout, in: .milliseconds(1) ... .seconds(300))
        reader.choice(prefix + "retrieval.rewrite", &agent.retrieval.rewrite)
        reader.flag(prefix + "retrieval.hybrid", &agent.retrieval.hybrid)
        reader.double(prefix + "retrieval.min_score", &agent.retrieval.minScore, in: 0...1)
        reader.choice(prefix + "retrieval.empty", &agent.retrieval.empty)
        reader.string(prefix + "retrieval.filter", &agent.retrieval.filter)
        reader.string(prefix + "prompt.system", &agent.prompt.system)
        reader.string(prefix + "prompt.user", &agent.prompt.user)
        reader.string(prefix + "prompt.refusal", &agent.prompt.refusal)
        reader.int(prefix + "prompt.history_tokens", &agent.prompt.historyTokens, in: 0...1_000_000)
        reader.int(prefix + "prompt.context_tokens", &agent.prompt.contextTokens, in: 0...1_000_000)
        var rates = Limits.Rates()
        reader.rates(prefix + "limits.", &rates)
        if rates != Limits.Rates() { agent.rates = rates }
        return agent
    }

    /// Whether two addresses have scheme, user, host and port in common; of addresses without a host, whether they are equal.
    static func isSameServer(_ one: String, _ other: String) -> Bool {
        func server(_ url: String) -> Substring {
            guard let scheme = url.firstRange(of: "://") else { return url[...] }
            return url[..<(url[scheme.upperBound...].firstIndex { "/?#".contains($0) } ?? url.endIndex)]
        }
        return server(one) == server(other)
    }
}

extension SettingsReader {
    mutating func classifier(_ key: String, _ value: inout Settings.Routing.Classifier) {
        var text: String?
        string(key, &text)
        switch text {
        case nil: break
        case "builtin"?: value = .builtin
        case "off"?: value = .off
        case let path?:
            // A word without a path's marks is rather a slip than a file.
            guard path.contains("/") || path.contains(".") else {
                return wrong(
                    key, path, "builtin, off, or the path of a file made by scripts/train-router, such as ./weights")
            }
            value = .file(path)
        }
    }
}

extension Settings.Agent: CustomStringConvertible, CustomReflectable {
    package var description: String { "agent, \(model)" }
    package var customMirror: Mirror { Mirror(self, children: ["model": model]) }
}
