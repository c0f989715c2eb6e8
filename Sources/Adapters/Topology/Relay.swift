import ChatJobs
import ParleyRabbitMQ

/// How the user behind a message stays known when Parley publishes it again, with `tenants.mode: authenticated`.
///
/// The broker lets nobody publish under another's `user_id`. So what Parley publishes again is its own, and names the
/// producer in a header; that header is believed of those only whom the broker vouches for as relays, Parley's own users.
package struct Relay: Sendable, Equatable {
    /// The user that this process connects with.
    package let user: String
    private let trusted: Set<String>
    private let tenancy: Tenancy

    /// - Parameter others: `tenants.relays`, users of other processes of Parley's: operators who send letters back.
    package init(user: String, others: [String], tenancy: Tenancy = Tenancy()) {
        self.user = user
        self.tenancy = tenancy
        trusted = Set(others + [user])
    }

    /// Who published the message first; nil when the broker vouches for nobody.
    package func producer(of properties: MessageProperties) -> String? {
        guard let user = properties.userID, trusted.contains(user) else { return properties.userID }
        return properties.headers[MessageHeaders.user]?.string ?? user
    }

    /// Whose the message is; nil when the broker vouches for nobody.
    package func tenant(of properties: MessageProperties) -> String? {
        producer(of: properties).map { tenancy.tenant(of: $0) }
    }

    /// Makes the properties of a message that is published again for `producer`.
    package func sign(_ properties: inout MessageProperties, for producer: String?) {
        // Signed without a producer, it would be taken for this process's own job.
        properties.userID = producer == nil ? nil : user
        properties.headers[MessageHeaders.user] = producer.map { .string($0) }
    }
}
