import ParleyJSON

/// Whether the worker can take jobs, and what each service it needs has to say.
package struct Readiness: Sendable, Hashable {
    /// The state of one service.
    package enum State: Sendable, Hashable {
        case ok
        /// Something is wrong, yet jobs can be taken; shown, and no reason to be unready.
        case degraded(String)
        /// Jobs cannot be taken, and why. The text is public: no secrets.
        case failed(String)
    }

    /// The services in the order they are shown.
    package private(set) var services: [(name: String, state: State)]

    /// - Parameter services: names (`rabbitmq`, `redis` …) and states, in the order they are shown.
    package init(_ services: KeyValuePairs<String, State> = [:]) {
        self.services = services.map { (name: $0.key, state: $0.value) }
    }

    /// Adds a service, or changes the state of one that is there.
    package mutating func set(_ name: String, _ state: State) {
        if let index = services.firstIndex(where: { $0.name == name }) {
            services[index].state = state
        } else {
            services.append((name, state))
        }
    }

    /// Whether no service has failed.
    package var isReady: Bool {
        services.allSatisfy {
            if case .failed = $0.state { false } else { true }
        }
    }

    /// `{"ready":true,"services":{"rabbitmq":"ok"}}`; what is not ok says why in place of `ok`.
    var json: [UInt8] {
        var writer = JSONWriter()
        writer.object {
            $0.member("ready", isReady)
            $0.key("services")
            $0.object { members in
                for (name, state) in services {
                    members.key(named: name)
                    switch state {
                    case .ok: members.string("ok")
                    case .degraded(let why): members.string("degraded: " + why)
                    case .failed(let why): members.string(why)
                    }
                }
            }
        }
        return writer.bytes
    }

    package static func == (a: Readiness, b: Readiness) -> Bool {
        a.services.elementsEqual(b.services) { $0 == $1 }
    }

    package func hash(into hasher: inout Hasher) {
        for (name, state) in services {
            hasher.combine(name)
            hasher.combine(state)
        }
    }
}
