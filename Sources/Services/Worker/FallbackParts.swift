import Adapters
import Answering
import ChatJobs
import Generation
import ParleyDigest
import ParleySettings

/// A model that stands in for an agent's own (`model.fallbacks`): made, but not yet asked anything.
package struct FallbackParts: Sendable {
    package let settings: Settings.Model
    package let model: any LanguageModel
    package let service: Dependency
    /// What its settings begin with when they stand in a list: `model.fallbacks.0.`
    let key: String
    /// No agent or fallback before it has the same service.
    let ownsService: Bool
    /// Which one it is, for who has set it.
    let place: String

    /// Those of an agent, in order, but for what is its own model.
    ///
    /// - Parameters:
    ///   - key: what the agent's keys begin with.
    ///   - others: the agents before it.
    static func all(
        of agent: Settings.Agent, name: String?, key: String, others: [AgentParts],
        _ makeModel: (_ agent: Settings.Agent, _ key: String, _ prompt: PromptTemplate?) -> (any LanguageModel)?
    ) -> [FallbackParts] {
        var all: [FallbackParts] = []
        for (place, own) in agent.model.fallbacks.enumerated()
        where !own.hasService(of: agent.model) && !all.contains(where: { $0.settings.hasService(of: own) }) {
            let ownKey = "\(key)model.fallbacks.\(place)."
            var asked = agent
            asked.model = own
            let entry = "\(key)model.fallbacks, entry \(place + 1)"
            guard let model = makeModel(asked, entry + ": ", nil) else { continue }
            let known = Self.service(of: own, in: others)
            let named = (name.map { "\($0)." } ?? "") + "fallback.\(place + 1)"
            all.append(
                FallbackParts(
                    settings: own, model: model, service: known ?? Dependency(.model, name: named), key: ownKey,
                    ownsService: known == nil, place: entry))
        }
        return all
    }

    /// That of an agent or a fallback with the same settings.
    private static func service(of model: Settings.Model, in agents: [AgentParts]) -> Dependency? {
        for agent in agents {
            if agent.settings.model.hasService(of: model) { return agent.service }
            if let same = agent.fallbacks.first(where: { $0.settings.hasService(of: model) }) { return same.service }
        }
        return nil
    }

    /// As the pipeline has it.
    func choice(currency: String) -> ModelChoice {
        ModelChoice(
            fallback: GeneratedAnswers(model: model), service: service, concurrency: settings.maxConcurrency,
            findsConcurrency: settings.concurrency == .auto,
            timeout: settings.timeout, prices: Prices(settings.prices, currency: currency),
            limitName: settings.limitName)
    }
}

extension Settings.Model {
    /// What it is known by in all workers that share its limits: nothing of its address.
    var limitName: String {
        let text = "\(url) \(name ?? "")"
        return (SHA256.hex(of: text.utf8) ?? text).prefix(16).description
    }
}

extension Prices {
    /// Nil when none are set.
    init?(_ prices: [Double]?, currency: String) {
        guard let prices, prices.count == 3 else { return nil }
        self.init(input: prices[0], cached: prices[1], output: prices[2], currency: currency)
    }
}
