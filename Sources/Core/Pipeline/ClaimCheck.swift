import Answering
import ChatJobs
import Logging
import Metrics
import ParleyDigest
import Synchronization

/// Answers that are too long for a reply are kept as objects, and the reply says where; jobs' bodies may come that way.
///
/// A paid answer is never lost for it: the store is asked again for some seconds, then the answer stays in the reply.
final class ClaimCheck: Sendable {
    private let objects: (any ObjectStore)?
    /// `reply.max_inline`: bytes.
    private let maxInline: Int
    /// So long an object is needed: as its result is kept.
    private let life: Duration
    private let clock: any PipelineClock
    private let logger: Logger
    private let kept = Counter(label: "parley_objects_total", dimensions: [("what", "answer")])
    private let read = Counter(label: "parley_objects_total", dimensions: [("what", "body")])
    private let failed = Counter(label: "parley_objects_failed_total")
    private let state = Mutex(State())

    private struct State {
        /// The store did not answer before: until then it is asked once only.
        var impatientUntil = Duration.zero
    }

    private static let rests: [Duration] = [.milliseconds(200), .milliseconds(800), .seconds(2), .seconds(4)]
    /// A store that does not answer is not asked again after this.
    private static let patience = Duration.seconds(10)
    private static let impatience = Duration.seconds(30)

    init(
        _ objects: (any ObjectStore)?, maxInline: Int, life: Duration, clock: any PipelineClock, logger: Logger
    ) {
        self.objects = objects
        self.maxInline = maxInline
        self.life = life
        self.clock = clock
        self.logger = logger
    }

    /// Whether jobs may name objects.
    var takesReferences: Bool { objects != nil }

    // MARK: - Answers

    /// Where the answer was kept; nil when it goes into the reply.
    func reference(to answer: String) async -> AnswerReference? {
        guard let objects, answer.utf8.count > maxInline else { return nil }
        let bytes = Array(answer.utf8)
        guard let digest = SHA256.digest(of: bytes)?.hex else { return nil }
        let wall = clock.wall
        let expires = Timestamp(milliseconds: wall.milliseconds + Int64(life / .milliseconds(1)))
        // By days, so that a folder or a prefix can be deleted whole.
        let name = "answers/\(expires.rfc3339.prefix(10))/\(digest).txt"
        // Each time: what was kept before may have been deleted meanwhile.
        return await keep(bytes, as: name, in: objects).map {
            AnswerReference(url: $0, bytes: bytes.count, sha256: digest, expires: expires)
        }
    }

    private func keep(_ bytes: [UInt8], as name: String, in objects: any ObjectStore) async -> String? {
        var reason = ""
        let now = clock.now
        let rests = state.withLock { now < $0.impatientUntil } ? [] : Self.rests
        for rest in rests.map(Optional.some) + [nil] {
            do throws(ObjectFailure) {
                let url = try await objects.keep(bytes, as: name)
                kept.increment()
                state.withLock { $0.impatientUntil = .zero }
                return url
            } catch {
                switch error {
                case .away(let said), .absent(let said): reason = said
                }
            }
            guard let rest, !Task.isCancelled, clock.now - now < Self.patience else { break }
            await clock.sleep(for: rest)
        }
        failed.increment()
        let until = clock.now + Self.impatience
        state.withLock { $0.impatientUntil = until }
        logger.warning(
            "a long answer stays in its reply: objects.url does not take it", metadata: ["reason": "\(reason)"])
        return nil
    }

    // MARK: - Bodies

    /// The body that a job names, whole and unharmed.
    func body(_ reference: BodyReference) async throws(ObjectFailure) -> [UInt8] {
        guard let objects else { throw .absent("body_ref is not taken here: objects.url is not set") }
        var rests = Self.rests.prefix(2)
        while true {
            do throws(ObjectFailure) {
                let bytes = try await objects.read(reference.url, limit: reference.bytes)
                guard bytes.count == reference.bytes else {
                    throw .absent("the object of body_ref has \(bytes.count) bytes and not \(reference.bytes)")
                }
                guard SHA256.digest(of: bytes)?.hex == reference.sha256 else {
                    throw .absent("the object of body_ref has another SHA-256 than body_ref says")
                }
                read.increment()
                return bytes
            } catch {
                guard case .away = error, !rests.isEmpty, !Task.isCancelled else {
                    failed.increment()
                    throw error
                }
                await clock.sleep(for: rests.removeFirst())
            }
        }
    }
}
