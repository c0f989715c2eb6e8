import ChatJobs
import Testing

/// Where replies may go.
@Suite struct ReplyRuleTests {
    // MARK: - Addresses

    @Test(
        arguments: [
            ("replies", "replies"), ("/queues/q", "q"), ("/queues/a%2Fb", "a/b"), ("/queues/%C3%A4", "ä"),
            ("/queue/q", "q"), ("/amq/queue/amq.gen-1", "amq.gen-1"), ("/reply-queue/amq.gen-2", "amq.gen-2"),
            ("amqp://host/q", "q"), ("amqp://user@host:5672/q", "q"), ("AMQPS://host/queues/q", "q"), ("/q", "q"),
            ("direct:///q", "q"), ("amq.rabbitmq.reply-to.g2dk/a==.b/c==", "amq.rabbitmq.reply-to.g2dk/a==.b/c=="),
            ("a:b", "a:b"),
        ]) func addressesAreReadAsTheQueueTheyMean(address: String, queue: String) throws
    {
        var envelope = Envelope()
        envelope.replyTo = address
        #expect(envelope.replyTo == queue)
        _ = try decode(#"{"query":"q"}"#) { $0.replyTo = address }
    }

    @Test(arguments: [
        "exchange/key", "/exchange/e/key", "/exchanges/e/key", "/topic/t/x", "/temp-queue/a/b", "/queues/",
        "/queues/a/b",
        "/queues/%zz", "amqp://host/vhost/q", "amqp://host", "amqp://host/q?x=1", "topic://e/key", "direct://e/key",
        "http://host/q", "/",
    ]) func anAddressThatIsNotCertainIsRefusedInWordsThatHelp(address: String) throws {
        let refusal = try refusal(#"{"query":"q"}"#) { $0.replyTo = address }
        #expect(refusal.failure.code == .invalidJob)
        #expect(refusal.failure.message.hasPrefix("reply_to is "))
        #expect(refusal.failure.message.contains("give the queue's name, or /queues/ and the name"))
        // Whoever has a queue of just that name is told so.
        #expect(refusal.isAnswerable)
    }

    @Test(arguments: [
        "amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to.", "amq.rabbitmq.reply-to.AAAA.BBBB",
        "amq.rabbitmq.reply-to.g2dk",
        "amq.rabbitmq.reply-to.g2dk.a.b", "amq.rabbitmq.reply-to.g2 k.b",
    ]) func aDirectReplyAddressThatTheBrokerCannotHaveMadeIsRefused(address: String) throws {
        let refusal = try refusal(#"{"query":"q"}"#) { $0.replyTo = address }
        #expect(refusal.failure.code == .invalidJob)
        #expect(refusal.failure.message.contains("consume amq.rabbitmq.reply-to on the channel"))
        #expect(!refusal.isAnswerable)
    }

    @Test func whatBeginsLikeADirectReplyAddressIsAQueue() throws {
        _ = try decode(#"{"query":"q"}"#) { $0.replyTo = "amq.rabbitmq.reply-toys" }
    }

    // MARK: - Parley's own queues

    @Test(arguments: [
        "shop", "shop.high", "shop.dead", "shop.delay", "shop.delay.7", "/queues/shop", "amqp://h/shop.dead",
        // Of another deployment on the same broker.
        "chat.jobs", "chat.jobs.dead", "chat.jobs.delay.27", "chat.jobs.high", "other.delay.0",
    ]) func noReplyGoesToAQueueOfParleysOwn(queue: String) throws {
        let decoder = JobDecoder(ownQueues: OwnQueues(base: "shop", lanes: ["high"]))
        let refusal = try refusal(#"{"query":"q"}"#, decoder: decoder) { $0.replyTo = queue }
        #expect(refusal.failure.code == .invalidJob)
        #expect(refusal.failure.message.contains("a queue of Parley's own"))
        #expect(!refusal.isAnswerable)
    }

    @Test(arguments: ["shop.replies", "shopping", "chat.jobs2", "x.delay.y", "delay.1", "a.delay.1.b"])
    func otherQueuesOfSimilarNamesAreFree(queue: String) throws {
        let decoder = JobDecoder(ownQueues: OwnQueues(base: "shop", lanes: ["high"]))
        _ = try decode(#"{"query":"q"}"#, decoder: decoder) { $0.replyTo = queue }
    }

    // MARK: - reply.allow

    private func allows(
        _ patterns: [String], _ queue: String, _ more: String = "", user: String? = nil
    ) throws -> Bool {
        let decoder = JobDecoder(repliesAllowed: NamePatterns(patterns))
        do throws(JobDecoder.Refusal) {
            _ = try decode(#"{"query":"q"\#(more)}"#, decoder: decoder) { ($0.replyTo, $0.userID) = (queue, user) }
            return true
        } catch {
            #expect(error.failure.code == .invalidJob && error.failure.message.contains("(reply.allow)"))
            #expect(!error.isAnswerable)
            return false
        }
    }

    @Test func patternsSayWhichQueuesRepliesMayGoTo() throws {
        #expect(try allows(["replies.*", "amq.gen-*"], "replies.a"))
        #expect(try allows(["replies.*", "amq.gen-*"], "amq.gen-x"))
        #expect(try !allows(["replies.*"], "reply.a"))
        #expect(try !allows(["replies.*"], "x.replies.a"))
        #expect(try allows(["*.replies"], "a.b.replies"))
        #expect(try allows(["a*b*c"], "a-b-b-c") && !allows(["a*b*c"], "a-c-b"))
        #expect(try allows(["amq.rabbitmq.reply-to"], "amq.rabbitmq.reply-to.g2dk.b"))
        #expect(try !allows(["replies.*"], "amq.rabbitmq.reply-to.g2dk.b"))
        #expect(try allows(["replies.*"], "/queues/replies.a"))
    }

    @Test func theTenantAndTheUserInAPatternAreTheJobsOwn() throws {
        #expect(try allows(["r.{tenant}.*"], "r.shop.1", #","tenant":"shop""#))
        #expect(try !allows(["r.{tenant}.*"], "r.other.1", #","tenant":"shop""#))
        // None is nobody's, and a star in a name is a star.
        #expect(try !allows(["r.{tenant}.*"], "r..1"))
        #expect(try !allows(["r.{tenant}"], "r.", #","tenant":"""#))
        #expect(try !allows(["r.{tenant}"], "r.other", #","tenant":"*""#))
        #expect(try allows(["{user}.r"], "anna.r", user: "anna"))
        // Whom the broker vouches for goes before whom the body names.
        #expect(try !allows(["{user}.r"], "bert.r", #","user_id":"bert""#, user: "anna"))
        #expect(try allows(["{user}.r"], "bert.r", #","user_id":"bert""#))
    }

    @Test func whatIsNoJobIsAnsweredNowhereElseEither() throws {
        let decoder = JobDecoder(repliesAllowed: NamePatterns(["r.{tenant}"]))
        #expect(try !refusal("{}", decoder: decoder) { $0.replyTo = "r.a" }.isAnswerable)
        #expect(try refusal(#"{"tenant":"a"}"#, decoder: decoder) { $0.replyTo = "r.a" }.isAnswerable)
        #expect(try !refusal(#"{"tenant":"b"}"#, decoder: decoder) { $0.replyTo = "r.a" }.isAnswerable)
        #expect(try !refusal("not json", decoder: decoder) { $0.replyTo = "r.a" }.isAnswerable)
    }

    @Test func manyStarsCostLittle() {
        let name = String(repeating: "a", count: 255)
        let pattern = String(repeating: "a*", count: 120) + "b"
        #expect(!NamePatterns([pattern]).allow(name))
        #expect(NamePatterns([String(repeating: "*a", count: 120)]).allow(name))
        #expect(!NamePatterns([]).allow("a") && NamePatterns(["*", "b"]).allow("a"))
    }
}
