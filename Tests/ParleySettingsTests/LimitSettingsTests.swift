import Foundation
import Testing

@testable import ParleySettings

/// `limits.requests_per_minute` and so on, and what tenants have of their own.
@Suite struct LimitSettingsTests {
    private func load(
        _ yaml: String = "", environment: [String: String] = [:], overrides: [(key: String, value: String)] = []
    ) async throws -> Settings {
        let file = FileManager.default.temporaryDirectory.appending(path: "parley-limits-\(UUID().uuidString).yaml")
        try Data(yaml.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try await Settings.load(file: file.path, environment: environment, overrides: overrides)
    }

    @Test func modelsAgentsAndTenantsHaveLimits() async throws {
        let settings = try await load(
            """
            limits: {requests_per_minute: 600, tokens_per_minute: 100000, concurrent: 8}
            agents: {presale: {limits: {concurrent: 2}}, logistics: {}}
            tenants:
              mode: open
              shop-eu: {limits: {requests_per_minute: 60}, weight: 3}
            """,
            environment: ["PARLEY_TENANTS_SHOP_EU_LIMITS_CONCURRENT": "5", "PARLEY_TENANTS_B_WEIGHT": "2"],
            overrides: [("tenants.shop-us.limits.tokens_per_minute", "1000")])
        #expect(settings.limits.rates == Settings.Limits.Rates(requests: 600, tokens: 100_000, concurrent: 8))
        #expect(settings.agents["presale"]?.rates == Settings.Limits.Rates(concurrent: 2))
        #expect(settings.agents["logistics"]?.rates == nil)
        #expect(settings.tenants.own.keys.sorted() == ["b", "shop-eu", "shop-us"])
        let shop = try #require(settings.tenants.own["shop-eu"])
        #expect(shop.rates == Settings.Limits.Rates(requests: 60, concurrent: 5) && shop.weight == 3)
        #expect(settings.tenants.own["shop-us"]?.rates.tokens == 1000)
    }

    @Test func mistakesAreNamed() async {
        do {
            _ = try await load("tenants: {shop: {limits: {requests: 1}, weight: 0}}\nlimits: {concurrent: 0}")
            Issue.record("accepted")
        } catch {
            let text = "\(error)"
            #expect(text.contains("tenants.shop.limits.requests"))
        }
        do {
            _ = try await load("limits: {concurrent: 0}")
            Issue.record("accepted")
        } catch { #expect("\(error)".contains("limits.concurrent is \"0\"")) }
    }
}
