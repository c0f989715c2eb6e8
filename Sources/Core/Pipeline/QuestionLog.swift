import ChatJobs

/// Counts what is asked (`analytics.questions`), for `parley warm --top`. What it cannot do is no error, and no job waits for
/// it.
package protocol QuestionLog: Sendable {
    func record(_ questions: [RecordedQuestion]) async
}

/// What of a window is worth counting: what somebody asked by themselves. Bulk jobs and warm-ups have priority 0; a second
/// attempt is the same question.
struct QuestionCount: Sendable {
    let log: any QuestionLog
    /// See ``RecordedQuestion/init(_:perUser:)``.
    let perUser: Bool

    func questions(among deliveries: [JobDelivery]) -> [RecordedQuestion] {
        deliveries.compactMap { delivery in
            delivery.isFirstTry && delivery.rank.priority > 0 ? RecordedQuestion(delivery.job, perUser: perUser) : nil
        }
    }
}
