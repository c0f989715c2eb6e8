import ParleyJSON

extension SystemStatus {
    /// One object: `queues`, `services`, `workers`, `totals`.
    package func write(to json: inout JSONWriter) {
        json.object {
            $0.key("queues")
            $0.array { list in
                for queue in queues {
                    list.object {
                        $0.member("name", queue.name)
                        $0.member("kind", queue.kind.rawValue)
                        $0.key("messages")
                        if let messages = queue.messages { $0.int(messages) } else { $0.null() }
                        $0.key("consumers")
                        if let consumers = queue.consumers { $0.int(consumers) } else { $0.null() }
                    }
                }
            }
            $0.key("services")
            $0.array { list in
                for service in services {
                    list.object {
                        $0.member("name", service.name)
                        $0.member("reachable", service.problem == nil)
                        $0.member("address", service.address)
                        $0.member("version", service.version)
                        $0.member("problem", service.problem?.message)
                    }
                }
            }
            $0.key("workers")
            $0.array { list in for worker in workers { worker.write(to: &list) } }
            $0.key("totals")
            $0.object {
                $0.member("ready", messages(.jobs))
                $0.member("delayed", messages(.delay))
                $0.member("dead", messages(.dead))
                $0.member("in_flight", inFlight)
                $0.key("rate")
                $0.rounded(rate)
            }
        }
    }
}
