import ArgumentParser
import ParleySettings

/// Whose jobs a command names by their ids.
struct TenantOption: ParsableArguments {
    @Option(help: "Whose job it is; needed with tenants.mode: authenticated.") var tenant: String?

    /// The tenant whose keys are meant; nil where tenants are not kept apart.
    func checked(_ settings: Settings) throws -> String? {
        switch (settings.tenants.mode, tenant) {
        case (.authenticated, let tenant?): return tenant
        case (.authenticated, nil):
            throw CommandFailure(
                .wrong, "--tenant is missing: with tenants.mode authenticated each tenant has its own ids")
        case (.open, nil): return nil
        case (.open, _?):
            throw CommandFailure(.wrong, "--tenant: with tenants.mode open ids are not kept apart by tenant")
        }
    }
}
