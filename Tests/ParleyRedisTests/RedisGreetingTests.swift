import Testing

@testable import ParleyRedis

@Suite struct RedisGreetingTests {
    private func greeting(_ change: (inout RedisConfiguration) -> Void = { _ in }) -> RedisGreeting {
        var configuration = RedisConfiguration()
        change(&configuration)
        return RedisGreeting(configuration)
    }

    @Test func onlyWhatIsNeededIsAsked() {
        #expect(greeting().commands == [RedisCommand("PING")])
        let all = greeting {
            $0.username = "u"
            $0.password = "p"
            $0.clientName = "n"
            $0.database = 3
            $0.sentinelMaster = "m"
        }
        #expect(
            all.commands == [
                RedisCommand("AUTH", "u", "p"), RedisCommand("CLIENT", "SETNAME", "n"), RedisCommand("SELECT", 3),
                RedisCommand("ROLE"), RedisCommand("PING"),
            ])
        #expect(greeting { $0.password = "p" }.commands.first == RedisCommand("AUTH", "p"))
    }

    /// The replies to AUTH, SELECT, ROLE, PING, as far as they are there.
    static let cases: [(replies: [RedisValue], code: RedisError.Code?)] = [
        ([.status("OK"), .status("OK"), role("master"), .status("PONG")], nil),
        ([], nil),
        ([.error("WRONGPASS invalid")], .authenticationFailed),
        ([.error("ERR AUTH <password> called without any password configured")], .authenticationFailed),
        ([.error("LOADING Redis is loading")], .unreachable),
        ([.error("ERR max number of clients reached")], .unreachable),
        ([.status("OK"), .error("NOAUTH Authentication required.")], .authenticationFailed),
        ([.status("OK"), .error("ERR DB index is out of range")], .invalidConfiguration),
        ([.status("OK"), .error("NOPERM no")], .authenticationFailed),
        ([.status("OK"), .error("DENIED protected mode")], .server("DENIED")),
        ([.status("OK"), .status("OK"), role("slave")], .unreachable),
        ([.status("OK"), .status("OK"), role("sentinel")], .unreachable),
        ([.status("OK"), .status("OK"), .error("NOPERM no"), .status("PONG")], nil),
        ([.status("OK"), .status("OK"), .integer(3), .error("NOPERM no")], nil),
        ([.status("OK"), .status("OK"), role("master"), .error("MASTERDOWN Link")], .unreachable),
        ([.status("OK"), .status("OK"), role("master"), .error("EH?")], .server("EH?")),
        ([.status("OK"), .status("OK"), role("master"), .bytes(Array("+PONG".utf8))], .protocolViolation),
        ([.status("OK"), .status("OK"), role("master"), .array([])], .protocolViolation),
    ]

    private static func role(_ name: String) -> RedisValue { .array([.bytes(Array(name.utf8))]) }

    @Test(arguments: cases.indices)
    func whatTheServerSaysDecidesWhetherItWillDo(index: Int) {
        let (replies, code) = Self.cases[index]
        let greeting = greeting {
            $0.password = "p"
            $0.database = 3
            $0.sentinelMaster = "m"
        }
        let problem = greeting.problem(in: replies, of: "there")
        #expect(problem?.code == code)
        if let problem { #expect(problem.message.contains("there")) }
    }
}
