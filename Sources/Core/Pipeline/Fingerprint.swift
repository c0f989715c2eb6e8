import ChatJobs
import ParleyDigest

/// What a job's id is bound to (contract, section 3): a digest of all that decides its answer. Another job under the same
/// id has another one, and is answered with nothing of the first.
package struct Fingerprint: Sendable, Hashable {
    /// The first 32 hexadecimal digits of a SHA-256; then whose job it is, tenant and user (``OwnerTag``).
    package let text: String

    package init(text: String) { self.text = text }

    /// Of everything in the body but `metadata`, read and written again, so that spaces, the order of members and what is
    /// said by saying nothing make no difference.
    package init(of job: Job) {
        var job = job
        job.metadata = nil
        // Without SHA-256 all jobs look the same, and ids are what they were before there were fingerprints.
        let digest = SHA256.digest(of: job.encoded())?.prefix(16).hex ?? String(repeating: "0", count: 32)
        text = digest + OwnerTag.text(of: job.tenant) + OwnerTag.text(of: job.userID)
    }
}

/// A job as the store knows it.
package struct JobIdentity: Sendable, Hashable {
    package let key: JobKey
    package let fingerprint: Fingerprint

    package init(key: JobKey, fingerprint: Fingerprint) {
        self.key = key
        self.fingerprint = fingerprint
    }
}

extension JobFailure {
    static let idConflict = JobFailure(
        .idConflict, "the id belongs to another job; give each job an id of its own, and repeat a job as it was")
}
