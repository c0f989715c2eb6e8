import ParleyJSON

extension SystemStatus {
    /// One object: `queues`, `services`, `workers`, `totals`. What is not known is null.
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
                        if queue.kind == .jobs {
                            $0.key("priorities")
                            if let known = queue.hasPriorities { $0.bool(known) } else { $0.null() }
                        }
                    }
                }
            }
            $0.key("services")
            $0.array { list in
                for service in services {
                    list.object {
                        $0.member("name", service.name)
                        $0.member("reachable", service.problem == nil)
                        $0.member("state", service.state)
                        $0.member("address", service.address)
                        $0.member("version", service.version)
                        $0.member("problem", service.problem?.message)
                    }
                }
            }
            $0.key("workers")
            if let workers {
                $0.array { list in for worker in workers { worker.write(to: &list) } }
            } else {
                $0.null()
            }
            $0.key("totals")
            $0.object {
                for (name, count) in [
                    ("ready", messages(.jobs)), ("delayed", messages(.delay)), ("dead", messages(.dead)),
                    ("workers", workerCount), ("in_flight", inFlight),
                ] {
                    $0.key(named: name)
                    if let count { $0.int(count) } else { $0.null() }
                }
                $0.key("rate")
                if let rate { $0.rounded(rate) } else { $0.null() }
            }
        }
    }
}
