import Glibc
import Synchronization
import TestSupport
import Testing

@testable import ParleyPostgres

private let server = getenv("PARLEY_TEST_POSTGRES_URL").map { String(cString: $0) }

@Suite(.enabled(if: server != nil)) struct PostgresPoolTests {
    private func pool(size: Int = 2, setUp: String? = nil) throws -> PostgresPool {
        PostgresPool(try PostgresAddress(uri: try #require(server)), size: size, setUp: setUp)
    }

    private func ask(
        _ pool: PostgresPool, _ sql: String, _ values: [String?] = [], timeout: Duration = .seconds(60),
        repeats: Bool = true
    ) async throws(PostgresError) -> PostgresRows {
        try await pool.run(timeout: timeout, repeats: repeats) { connection, deadline throws(PostgresError) in
            try connection.query(sql, values, timeout: deadline - .now)
        }
    }

    @Test func valuesArriveAsTheyAreAndAreNeverStatements() async throws {
        let pool = try pool()
        let values = ["", "'; DROP TABLE x; --", "\"\\{}", "快递\u{1F}\n", nil]
        #expect(try await ask(pool, "SELECT $1::text, $2::text, $3::text, $4::text, $5::text", values) == [values])
        #expect(try await ask(pool, "SELECT $1::text", ["a\0b"]) == [["a\u{FFFD}b"]])
        let long = String(repeating: "long ", count: 2_000_000)
        #expect(try await ask(pool, "SELECT length($1), $1", [long]) == [["10000000", long]])
    }

    @Test func anErrorHasItsStateAndLeavesTheConnectionUsable() async throws {
        let pool = try pool(size: 1)
        let process = try await ask(pool, "SELECT pg_backend_pid()")
        await #expect {
            _ = try await ask(pool, "SELECT nonsense FROM nowhere")
        } throws: {
            let error = $0 as? PostgresError
            return error?.code == .refused && error?.sqlState == "42P01" && error?.message.contains("nowhere") == false
                && error?.serverWords?.contains("nowhere") == true
        }
        #expect(try await ask(pool, "SELECT pg_backend_pid()") == process)
    }

    @Test func aTransactionThatFailsLeavesNothing() async throws {
        let pool = try pool(size: 1)
        let table = "pool_\(unique())"
        _ = try await ask(pool, "CREATE TABLE \(table) (n int)")
        await #expect(throws: PostgresError.self) {
            try await pool.run(timeout: .seconds(60), repeats: false) { connection, _ throws(PostgresError) in
                try connection.transaction(timeout: .seconds(60)) { () throws(PostgresError) in
                    _ = try connection.query("INSERT INTO \(table) VALUES (1)", timeout: .seconds(60))
                    _ = try connection.query("SELECT 1/0", timeout: .seconds(60))
                }
            }
        }
        #expect(try await ask(pool, "SELECT count(*) FROM \(table)") == [["0"]])
    }

    @Test(arguments: [true, false])
    func aConnectionThatBrokeMeanwhileIsMadeAnew(_ repeats: Bool) async throws {
        let pool = try pool(size: 1)
        let process = try #require(try await ask(pool, "SELECT pg_backend_pid()").first?.first ?? nil)
        _ = try await ask(try self.pool(), "SELECT pg_terminate_backend($1::int, 60000)", [process])
        let other = try await ask(pool, "SELECT pg_backend_pid()", repeats: repeats)
        #expect(other != [[process]])
    }

    @Test func whatTakesTooLongIsStoppedAtTheServer() async throws {
        let pool = try pool(size: 1)
        let mark = "sleeper \(unique())"
        await #expect {
            _ = try await ask(pool, "SELECT pg_sleep(600) /* \(mark) */", timeout: .milliseconds(300))
        } throws: {
            ($0 as? PostgresError)?.code == .timedOut
        }
        let other = try self.pool()
        try await waitUntil("nothing sleeps") {
            try await ask(
                other, "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%/* ' || $1 || ' */%'",
                [mark]
            ).isEmpty
        }
        #expect(try await ask(pool, "SELECT 1") == [["1"]])
    }

    @Test func whoeverIsCancelledWaitsNoLonger() async throws {
        let pool = try pool(size: 1)
        let sleeping = Task { try await ask(pool, "SELECT pg_sleep(5)") }
        let waiting = Task { try await ask(pool, "SELECT 1") }
        sleeping.cancel()
        waiting.cancel()
        for task in [sleeping, waiting] {
            await #expect { _ = try await task.value } throws: { ($0 as? PostgresError)?.code == .cancelled }
        }
    }

    @Test func noMoreConnectionsThanAllowedAndNoneThatIsNotNeeded() async throws {
        let pool = try pool(size: 3)
        for _ in 0..<10 { _ = try await ask(pool, "SELECT 1") }
        let seen = try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    let row = try await self.ask(pool, "SELECT pg_backend_pid() FROM pg_sleep(0.01)").first
                    return row?.first ?? nil
                }
            }
            return try await group.reduce(into: Set<String>()) { if let process = $1 { $0.insert(process) } }
        }
        #expect((1...3).contains(seen.count))
    }

    @Test func everyConnectionBeginsAlike() async throws {
        let pool = try pool(setUp: "SELECT set_config('statement_timeout', '42s', false)")
        #expect(try await ask(pool, "SHOW statement_timeout") == [["42s"]])
        let ill = try self.pool(setUp: "SELECT nonsense")
        await #expect(throws: PostgresError.self) { _ = try await ask(ill, "SELECT 1") }
    }
}

@Suite struct PostgresAddressTests {
    @Test func whoeverIsNotThereIsNamedAndNothingIsWaitedFor() async throws {
        let (socket, port) = try boundSocket()
        defer { close(socket) }
        let pool = PostgresPool(try PostgresAddress(uri: "postgresql://u:secret@127.0.0.1:\(port)/d"), size: 1)
        await #expect {
            _ = try await pool.run(timeout: .seconds(60), repeats: true) { connection, _ throws(PostgresError) in
                try connection.query("SELECT 1", timeout: .seconds(60))
            }
        } throws: {
            let error = $0 as? PostgresError
            return error?.code == .unreachable && error?.message.contains("\(port)") == true
                && error?.message.contains("secret") == false
        }
    }

    @Test func aServerThatIsSilentIsNotWaitedForLongerThanAllowed() async throws {
        let (socket, port) = try boundSocket()
        defer { close(socket) }
        #expect(listen(socket, 8) == 0)
        let pool = PostgresPool(try PostgresAddress(uri: "postgresql://u@127.0.0.1:\(port)/d"), size: 1)
        await #expect {
            _ = try await pool.run(timeout: .milliseconds(200), repeats: true) { connection, _ throws(PostgresError) in
                try connection.query("SELECT 1", timeout: .seconds(60))
            }
        } throws: {
            ($0 as? PostgresError)?.code == .timedOut
        }
    }

    @Test(arguments: ["postgresql://h:x%/d", "postgresql://[::1/d", "postgresql://h/d?sslmod=x", "postgresql://h/d?pw"])
    func whatLibpqCannotReadIsRefusedWithoutShowingIt(_ uri: String) {
        #expect { _ = try PostgresAddress(uri: uri) } throws: {
            ($0 as? PostgresError)?.code == .invalid && !"\($0)".contains("h/d")
        }
    }
}
