/// An amount of money.
public struct Cost: Sendable, Equatable {
    /// In units of the currency, not of its hundredths.
    public var amount: Double
    /// As `model.currency` has it: `USD`.
    public var currency: String

    /// So much of the currency.
    public init(_ amount: Double, _ currency: String) {
        self.amount = amount
        self.currency = currency
    }
}

/// What a model's tokens cost: `model.prices`, per million of them.
package struct Prices: Sendable, Equatable {
    /// Of prompts, but for what the service had read before.
    package var input: Double
    /// Of prompts that the service had read before.
    package var cached: Double
    package var output: Double
    /// `model.currency`.
    package var currency: String

    package init(input: Double, cached: Double, output: Double, currency: String) {
        self.input = input
        self.cached = cached
        self.output = output
        self.currency = currency
    }

    /// Rounded to a billionth, so that sums of what is written are sums of what was meant.
    package func cost(of usage: Usage) -> Cost {
        let new = Double(max(0, usage.promptTokens - usage.cachedTokens))
        let sum = new * input + Double(usage.cachedTokens) * cached + Double(usage.completionTokens) * output
        return Cost((sum * 1000).rounded() / 1_000_000_000, currency)
    }
}
