/// One chat job, as the contract describes its body. Only `id` and `query` are required of a producer.
public struct Job: Sendable, Equatable {
    public var id: JobID
    /// The question. At most `limits.query` bytes, never blank.
    public var query: String
    public var userID: String?
    public var tenant: String?
    public var agent: String?
    /// The question made to stand alone, when its producer has it: what passages are looked for with.
    public var rewrittenQuery: String?
    /// Earlier turns of the conversation, oldest first.
    public var history: [Turn] = []
    /// Whether `chat.chunk` messages are wanted before the reply.
    public var stream = false
    /// Not to be worked on earlier than this.
    public var notBefore: Timestamp?
    /// Not to be answered later than this.
    public var deadline: Timestamp?
    public var options = JobOptions()
    /// A JSON object to echo in the reply, as the producer wrote it; at most `limits.metadata`, 16 KiB.
    public var metadata: [UInt8]?
    /// What its producer probably meant and did not get; said in the reply.
    package var warnings: [String] = []

    /// What passages are looked for with.
    package var searchText: String { rewrittenQuery ?? query }

    public init(id: JobID, query: String) {
        self.id = id
        self.query = query
    }
}

/// One earlier turn of a conversation.
public struct Turn: Sendable, Equatable {
    public enum Role: String, Sendable, CaseIterable { case user, assistant, system }
    public var role: Role
    public var content: String

    public init(role: Role, content: String) {
        self.role = role
        self.content = content
    }
}

/// What a job may ask of retrieval, the model and the cache; nil means the worker's own default.
public struct JobOptions: Sendable, Equatable {
    /// Whether passages are looked up before the model is asked.
    public enum Retrieve: String, Sendable, CaseIterable { case auto, always, never }
    /// Whether an answer may come from, and go to, the answer cache.
    public enum Cache: String, Sendable, CaseIterable { case use, refresh, bypass }

    public var model: String?
    /// 0 … 2.
    public var temperature: Double?
    /// 1 … 1,000,000.
    public var maxTokens: Int?
    public var seed: Int?
    /// 1 … 64 passages.
    public var topK: Int?
    public var retrieve: Retrieve?
    public var cache: Cache = .use

    public init() {}
}
