import ChatJobs

/// About how many tokens a prompt has, before it is made.
enum PromptSize {
    /// Of what stands around question, history and passages.
    private static let frame = 200

    /// Four bytes a token: nothing is read for it.
    static func tokens(of job: Job, _ sources: [Source]) -> Int {
        let bytes =
            job.query.utf8.count + job.history.reduce(0) { $0 + $1.content.utf8.count }
            + sources.reduce(0) { $0 + $1.text.utf8.count + $1.title.utf8.count }
        return frame + bytes / 4
    }
}
