import ChatJobs

/// The questions on their ways, and the inquiries that wait for them.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class Flights {
    /// The inquiries that are not over, by their tokens.
    private var members: [UInt64: Flight.Member] = [:]
    /// By their leads' tokens.
    private var flights: [UInt64: Flight] = [:]
    private var joinable: [AnswerKey: Flight] = [:]

    subscript(lead: UInt64) -> Flight? { flights[lead] }

    func member(_ token: UInt64) -> Flight.Member? { members[token] }

    /// In order, so that a simulated run can be replayed.
    var tokens: [UInt64] { members.keys.sorted() }

    /// The one that an equal question may join.
    func joinable(_ key: AnswerKey) -> Flight? { joinable[key] }

    func begin(_ flight: Flight) {
        flights[flight.lead.token] = flight
        if let key = flight.key, flight.isShared, !flight.isRenewal { joinable[key] = flight }
    }

    func add(_ member: Flight.Member) {
        members[member.inquiry.token] = member
        member.flight.add(member)
    }

    /// Nobody joins it any more. One that has not begun is over.
    func close(_ flight: Flight) {
        if let key = flight.key, joinable[key] === flight { joinable[key] = nil }
        if flight.task == nil { flights[flight.lead.token] = nil }
    }

    /// What came of it is known.
    func end(_ flight: Flight) {
        close(flight)
        flights[flight.lead.token] = nil
    }

    func end(_ member: Flight.Member) { members[member.inquiry.token] = nil }
}
