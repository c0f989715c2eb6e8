/// How tenants are told apart (`tenants.*`).
package struct Tenancy: Sendable, Equatable {
    /// `tenants.mode`
    package enum Mode: String, Sendable, CaseIterable {
        /// A job says whose it is, and is believed.
        case open
        /// The user whom the broker has vouched for decides (RabbitMQ documentation, Validated User-ID).
        case authenticated
    }

    package var mode = Mode.open
    /// `tenants.users`: the tenants of users that are not called like their tenant.
    package var tenants: [String: String] = [:]

    package init() {}

    /// Whose jobs a user publishes.
    package func tenant(of user: String) -> String { tenants[user] ?? user }

    /// Whose a job is.
    ///
    /// - Parameters:
    ///   - claimed: what its body says.
    ///   - user: whom the broker has vouched for.
    /// - Throws: why it is nobody's whom it could be answered for.
    func tenant(claimed: String?, user: String?) throws(JobFailure) -> String? {
        guard mode == .authenticated else { return claimed }
        guard let user, !user.isEmpty else {
            throw JobFailure(
                .invalidJob,
                "no user: the property user_id is needed here, the name of the user that you connect to RabbitMQ with")
        }
        let tenant = tenant(of: user)
        guard claimed == nil || claimed == tenant else {
            throw JobFailure(
                .invalidJob, "tenant is \(shown(claimed ?? "")), and the user \(shown(user)) publishes for another")
        }
        return tenant
    }

    /// What a job of that tenant is known by; nil when it is nobody's.
    package func key(_ id: JobID, tenant: String?) -> JobKey? {
        guard mode == .authenticated else { return JobKey(id) }
        return tenant.map { JobKey(id, tenant: $0) }
    }
}
