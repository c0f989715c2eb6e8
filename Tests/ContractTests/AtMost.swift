import Testing

/// Lets so many of a suite's tests run at once: each starts workers, and too many of them starve one another.
struct AtMost: SuiteTrait, TestTrait, TestScoping {
    let places: Places
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        // The suite itself, and a test as a whole, hold no place: their cases do.
        guard !test.isSuite, testCase != nil else { return try await function() }
        await places.enter()
        do {
            try await function()
            await places.leave()
        } catch {
            await places.leave()
            throw error
        }
    }

    actor Places {
        private var free: Int
        private var waiters: [CheckedContinuation<Void, Never>] = []

        init(_ count: Int) { free = count }

        func enter() async {
            if free > 0 {
                free -= 1
            } else {
                await withCheckedContinuation { waiters.append($0) }
            }
        }

        func leave() {
            if waiters.isEmpty { free += 1 } else { waiters.removeFirst().resume() }
        }
    }
}

extension Trait where Self == AtMost {
    static func atMost(_ count: Int) -> AtMost { AtMost(places: AtMost.Places(count)) }
}
