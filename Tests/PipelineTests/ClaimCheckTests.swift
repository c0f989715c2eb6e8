import Answering
import ChatJobs
import Logging
import ParleyDigest
import Synchronization
import Testing

@testable import Pipeline

/// What is too long for messages is kept elsewhere, and a paid answer is never lost for it.
@Suite struct ClaimCheckTests {
    /// A store that fails so often, and remembers.
    private final class Objects: ObjectStore {
        let state: Mutex<(kept: [String: [UInt8]], calls: Int, failures: Int)>
        private let hang: @Sendable () async -> Void
        init(failing: Int = 0, hang: @escaping @Sendable () async -> Void = {}) {
            state = Mutex(([:], 0, failing))
            self.hang = hang
        }

        var calls: Int { state.withLock { $0.calls } }
        var kept: [String: [UInt8]] { state.withLock { $0.kept } }

        private func fails() -> Bool {
            state.withLock {
                $0.calls += 1
                $0.failures -= 1
                return $0.failures >= 0
            }
        }

        func keep(_ bytes: [UInt8], as name: String) async throws(ObjectFailure) -> String {
            await hang()
            if fails() { throw .away("gone") }
            state.withLock { $0.kept["test:\(name)"] = bytes }
            return "test:\(name)"
        }

        func read(_ url: String, limit: Int) async throws(ObjectFailure) -> [UInt8] {
            if fails() { throw .away("gone") }
            guard let bytes = kept[url] else { throw .absent("nothing") }
            return bytes
        }
    }

    private final class Clock: PipelineClock {
        let passed = Mutex(Duration.zero)
        var now: Duration { passed.withLock { $0 } }
        var wall: Timestamp { Timestamp(milliseconds: 1_800_000_000_000 + Int64(now / .milliseconds(1))) }
        func sleep(for duration: Duration) async { passed.withLock { $0 += duration } }
        func random() -> Double { 0.5 }
    }

    private func check(_ objects: Objects?, clock: Clock = Clock()) -> ClaimCheck {
        ClaimCheck(
            objects, maxInline: 10, life: .seconds(86_400), clock: clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test func onlyAnswersAboveTheLimitAreKept() async throws {
        let objects = Objects()
        let check = check(objects)
        #expect(await check.reference(to: "0123456789") == nil)
        let long = "0123456789é"
        let reference = try #require(await check.reference(to: long))
        #expect(reference.bytes == 12)
        #expect(reference.sha256 == SHA256.hex(of: long.utf8))
        #expect(objects.kept[reference.url] == Array(long.utf8))
        #expect(reference.expires == Timestamp(milliseconds: 1_800_086_400_000))
        #expect(reference.url.contains("/\(reference.expires.rfc3339.prefix(10))/"))
        // Given again, it is kept again: the object may have been deleted meanwhile.
        #expect(await check.reference(to: long) == reference)
        #expect(objects.calls == 2)
        #expect(await self.check(nil).reference(to: long) == nil)
    }

    @Test func aStoreThatIsAwayIsAskedAgain() async {
        let objects = Objects(failing: 3)
        #expect(await check(objects).reference(to: "a long answer indeed") != nil)
        #expect(objects.calls == 4)
    }

    @Test func whatIsNotTakenStaysInTheReplyAndTheNextWaitsNoLonger() async {
        let objects = Objects(failing: 6)
        let clock = Clock()
        let check = check(objects, clock: clock)
        #expect(await check.reference(to: "a long answer indeed") == nil)
        #expect(objects.calls == 5)
        #expect(await check.reference(to: "another long answer") == nil)
        #expect(objects.calls == 6)
        #expect(await check.reference(to: "another long answer") != nil)
    }

    @Test func aStoreThatDoesNotAnswerHoldsNobodyForLong() async {
        let clock = Clock()
        let objects = Objects(failing: 100) { await clock.sleep(for: .seconds(10)) }
        let check = check(objects, clock: clock)
        #expect(await check.reference(to: "a long answer indeed") == nil)
        #expect(objects.calls == 1 && clock.now == .seconds(10))
    }

    @Test func aBodyIsTakenWholeOrNotAtAll() async throws {
        let objects = Objects()
        let check = check(objects)
        let body = Array(#"{"query":"q"}"#.utf8)
        objects.state.withLock { $0.kept["test:a"] = body }
        let digest = try #require(SHA256.hex(of: body))
        func read(_ url: String, _ bytes: Int, _ sha256: String) async throws -> [UInt8] {
            try await check.body(BodyReference(url: url, bytes: bytes, sha256: sha256))
        }
        #expect(try await read("test:a", body.count, digest) == body)
        await #expect(throws: ObjectFailure.self) { try await read("test:a", body.count - 1, digest) }
        await #expect(throws: ObjectFailure.self) {
            try await read("test:a", body.count, String(repeating: "0", count: 64))
        }
        await #expect(throws: ObjectFailure.absent("nothing")) { try await read("test:b", body.count, digest) }
        objects.state.withLock { $0.failures = 2 }
        #expect(try await read("test:a", body.count, digest) == body)
        objects.state.withLock { $0.failures = 100 }
        await #expect(throws: ObjectFailure.away("gone")) { try await read("test:a", body.count, digest) }
    }
}
