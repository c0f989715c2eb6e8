/// What a test cannot go on without, and why it is not there.
package struct Failure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Asks again every few milliseconds until there is a value. The limit is a slow and busy machine's: nobody waits for it
/// unless the test fails.
///
/// - Throws: when there is none within `limit`.
package func eventually<T>(
    _ what: String, within limit: Duration = .seconds(60), _ body: () async throws -> T?
) async throws -> T {
    let deadline = ContinuousClock.now + limit
    while true {
        if let value = try await body() { return value }
        guard ContinuousClock.now < deadline else { throw Failure("\(what) did not come within \(limit)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// The same, for a condition.
package func waitUntil(
    _ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw Failure("waited \(limit) in vain until \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
