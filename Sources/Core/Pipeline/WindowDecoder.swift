import Answering
import ChatJobs

/// What the messages of a window are.
struct WindowDecoder: Sendable {
    let decoder: JobDecoder
    /// Undoes gzip, giving at most the number of bytes asked for.
    let inflate: @Sendable ([UInt8], Int) throws(JobFailure) -> [UInt8]

    enum Message {
        case job(JobDelivery)
        /// Its `not_before` is so far off.
        case early(JobDelivery, Duration)
        case refused(Incoming, JobDecoder.Refusal)
        /// Its body is elsewhere.
        case named(Incoming, JobID, BodyReference)
    }

    /// - Parameter arrival: of this message in this worker.
    func read(_ incoming: Incoming, arrival: UInt64, now: Duration, wall: Timestamp) -> Message {
        do throws(JobDecoder.Refusal) {
            if !incoming.isFetched,
                let (id, reference) = try decoder.reference(in: incoming.body, incoming.envelope, inflate: inflate)
            {
                return .named(incoming, id, reference)
            }
            let job = try decoder.decode(incoming.body, incoming.envelope, inflate: inflate)
            let key = decoder.tenancy.key(job.id, tenant: job.tenant)
            if let failure = decoder.ceilings.refusal(of: job, wall: wall) {
                return .refused(incoming, JobDecoder.Refusal(job, key, failure))
            }
            let delivery = JobDelivery(incoming: incoming, job: job, key: key, arrival: arrival, begun: now)
            if let wait = Admission.untilDue(job, wall: wall) { return .early(delivery, wait) }
            return .job(delivery)
        } catch {
            return .refused(incoming, error)
        }
    }

    func refusal(_ failure: JobFailure, of incoming: Incoming) -> JobDecoder.Refusal {
        decoder.refusal(failure, of: incoming.body, incoming.envelope, inflate: inflate)
    }
}
