import ChatJobs
import ParleyRabbitMQ
import ParleySettings
import Topology

extension Tenancy {
    package init(_ settings: Settings) {
        self.init()
        mode = Mode(rawValue: settings.tenants.mode.rawValue) ?? .open
        tenants = settings.tenants.users
    }
}

extension Relay {
    /// Nil where jobs say themselves whose they are.
    package init?(_ settings: Settings, _ rabbitMQ: RabbitMQConfiguration) {
        guard settings.tenants.mode == .authenticated else { return nil }
        self.init(user: rabbitMQ.username, others: settings.tenants.relays, tenancy: Tenancy(settings))
    }
}
