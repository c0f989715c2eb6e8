import Yams

/// `tenants.<name>.*`: what a tenant has of its own.
extension Settings {
    /// The ends of its keys.
    private static let tenantKeys = [
        "limits.requests_per_minute", "limits.tokens_per_minute", "limits.concurrent", "weight",
    ]
    private static let tenantsPrefix = "tenants."
    private static let variablesPrefix = "PARLEY_TENANTS_"
    /// What is no tenant's name, since it is a key.
    private static let reserved: Set<String> = ["mode", "users", "relays"]

    private static func tenantName(in key: String) -> String? {
        guard key.hasPrefix(tenantsPrefix) else { return nil }
        let name = key.dropFirst(tenantsPrefix.count).prefix { $0 != "." }
        return reserved.contains(String(name)) ? nil : String(name)
    }

    static func isTenantKey(_ key: String) -> Bool {
        guard let name = tenantName(in: key), !name.isEmpty else { return false }
        return tenantKeys.contains(String(key.dropFirst(tenantsPrefix.count + name.count + 1)))
    }

    /// The tenants that flags, the environment and the file speak of, in alphabetical order.
    static func tenantNames(flags: [String], environment: some Sequence<String>, root: Node?) -> [String] {
        var names = Set(flags.compactMap(tenantName(in:)))
        if let root {
            names.formUnion(values(in: root).keys.compactMap { tenantName(in: $0.components.joined(separator: ".")) })
        }
        let variables = Set(names.map(variable(of:)))
        for name in environment.compactMap(tenantName(ofVariable:)) where !variables.contains(variable(of: name)) {
            names.insert(name)
        }
        return names.filter { !$0.isEmpty }.sorted()
    }

    /// The tenant whose variable it is; names in the environment are taken for lower case.
    static func tenantName(ofVariable name: String) -> String? {
        guard name.hasPrefix(variablesPrefix) else { return nil }
        let rest = name.dropFirst(variablesPrefix.count)
        let ends = tenantKeys.map { "_" + variable(of: $0) }
        return ends.first { rest.hasSuffix($0) && rest.count > $0.count }.map { rest.dropLast($0.count).lowercased() }
    }

    mutating func readTenants(_ names: [String], _ reader: inout SettingsReader) {
        for name in names {
            var tenant = Tenant()
            reader.rates("tenants.\(name).limits.", &tenant.rates)
            reader.int("tenants.\(name).weight", &tenant.weight, in: 1...1000)
            tenants.own[name] = tenant
        }
    }
}

extension SettingsReader {
    mutating func rates(_ prefix: String, _ rates: inout Settings.Limits.Rates) {
        int(prefix + "requests_per_minute", &rates.requests, in: 1...100_000_000)
        int(prefix + "tokens_per_minute", &rates.tokens, in: 1...1_000_000_000)
        int(prefix + "concurrent", &rates.concurrent, in: 1...1_000_000)
    }
}
