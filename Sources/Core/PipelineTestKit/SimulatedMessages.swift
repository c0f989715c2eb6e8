import ChatJobs

/// Random messages: mostly jobs, some of them twice, some of them bad.
enum SimulatedMessages {
    /// The workers' limit of a query, small so that a message over it costs little to make.
    static let maxQuery = 256

    /// - Parameters:
    ///   - sharing: many ask the same.
    ///   - alike: nearly all do, and want it in pieces.
    ///   - agents: some are for one of these.
    static func draw(
        _ draw: inout SeededGenerator, sharing: Bool = false, alike: Bool = false, agents: [String] = []
    ) -> [(at: Duration, messages: [SimulatedMessage])] {
        let count = Int.random(in: 1...10, using: &draw)
        var jobs: [Job] = []
        var bursts: [(at: Duration, messages: [SimulatedMessage])] = []
        var at = Duration.zero
        for number in 0..<count {
            let message =
                draw.chance(10) ? bad(number, &draw) : job(number, &jobs, &draw, sharing, alike: alike, agents)
            if bursts.isEmpty || draw.chance(30) {
                at += .milliseconds(Int.random(in: 0...300, using: &draw))
                bursts.append((at, []))
            }
            bursts[bursts.count - 1].messages.append(message)
        }
        var uses: [JobID: Int] = [:]
        for id in bursts.flatMap(\.messages).compactMap(\.id) { uses[id, default: 0] += 1 }
        for burst in bursts.indices {
            for index in bursts[burst].messages.indices {
                guard let id = bursts[burst].messages[index].id else { continue }
                bursts[burst].messages[index].hasTwin = uses[id, default: 0] > 1
            }
        }
        return bursts
    }

    /// Most of them may wait for a batch.
    ///
    /// - Returns: jobs that go by nothing else.
    static func makeBulk(
        of bursts: inout [(at: Duration, messages: [SimulatedMessage])], _ draw: inout SeededGenerator
    ) -> Set<JobID> {
        var bulk: Set<JobID> = []
        for burst in bursts.indices {
            for place in bursts[burst].messages.indices where draw.chance(80) {
                bursts[burst].messages[place].envelope.priority = 0
                let message = bursts[burst].messages[place]
                guard let id = message.id, !message.hasTwin, !message.hasDeadline, !message.streams else { continue }
                bulk.insert(id)
            }
        }
        return bulk
    }

    private static func job(
        _ number: Int, _ jobs: inout [Job], _ draw: inout SeededGenerator, _ sharing: Bool, alike: Bool,
        _ agents: [String]
    ) -> SimulatedMessage {
        let reply: SimulatedMessage.ReplyQueue =
            switch Int.random(in: 0..<20, using: &draw) {
            case 0...1: .none
            case 2...3: .gone
            case 4: .own
            default: .routable
            }
        // A refused message keeps its id to itself: what its twin would be answered is another matter.
        let twin = reply == .own || !draw.chance(20) ? nil : jobs.randomElement(using: &draw)
        let isPoison = twin == nil && reply != .own && draw.chance(3)
        guard let id = twin?.id ?? JobID("job-\(number)") else { return bad(number, &draw) }
        var job = Job(id: id, query: "question \(number)")
        // What kills, kills whoever asks it.
        let isShared = sharing && !isPoison && number % 4 > 0
        if isShared {
            job.query = "shared question \(alike ? 0 : number % 2)"
            job.tenant = alike ? nil : [nil, "a"][number / 2 % 2]
            if number % 5 == 0 { job.options.cache = number % 2 == 0 ? .refresh : .bypass }
        }
        // In an order of their own, so that the draws of a seed are the same with and without agents.
        if !agents.isEmpty, number % 3 > 0 { job.agent = agents[number / 3 % agents.count] }
        job.stream = draw.chance(alike ? 90 : 30)
        if draw.chance(20) {
            job.deadline = Timestamp(
                milliseconds: SimulatedClock.start.milliseconds + Int64.random(in: -100...800, using: &draw))
        }
        if draw.chance(10) {
            job.notBefore = Timestamp(
                milliseconds: SimulatedClock.start.milliseconds + Int64.random(in: -100...2000, using: &draw))
        }
        job.options.retrieve = [nil, .auto, .always, .never].randomElement(using: &draw) ?? nil
        // Else what is shared would rarely be equal.
        if isShared, number % 7 > 0 { job.options.retrieve = nil }
        // The same job once more, or another one that takes its id.
        if let twin, draw.chance(60) { job = twin }
        if twin == nil, reply != .own, !isPoison { jobs.append(job) }
        var message = SimulatedMessage(
            number: number, job, replyQueue: reply,
            priority: draw.chance(50) ? UInt8.random(in: 0...9, using: &draw) : nil)
        message.agent = job.agent
        message.isPoison = isPoison
        message.isHopeless = !isPoison && draw.chance(10) && !isShared
        return message
    }

    private static func bad(_ number: Int, _ draw: inout SeededGenerator) -> SimulatedMessage {
        var envelope = Envelope()
        envelope.correlationID = "c\(number)"
        envelope.replyTo = draw.chance(80) ? "replies" : nil
        let queue: SimulatedMessage.ReplyQueue = envelope.replyTo == nil ? .none : .routable
        switch Int.random(in: 0..<4, using: &draw) {
        case 0:
            envelope.messageID = "bad-\(number)"
            return SimulatedMessage(
                number: number, envelope: envelope, body: Array("{".utf8), id: JobID("bad-\(number)"),
                replyQueue: queue, refusal: .invalidJob)
        case 1:
            return SimulatedMessage(
                number: number, envelope: envelope, body: Array(#"{"query":"no id"}"#.utf8), id: nil,
                replyQueue: queue, refusal: .invalidJob)
        case 2:
            envelope.contentType = "text/html"
            envelope.messageID = "bad-\(number)"
            return SimulatedMessage(
                number: number, envelope: envelope, body: Array("hello".utf8), id: JobID("bad-\(number)"),
                replyQueue: queue, refusal: .unsupportedMediaType)
        default:
            let query = String(repeating: "x", count: maxQuery + 1)
            return SimulatedMessage(
                number: number, envelope: envelope, body: Array(#"{"id":"bad-\#(number)","query":"\#(query)"}"#.utf8),
                id: JobID("bad-\(number)"), replyQueue: queue, refusal: .tooLarge)
        }
    }
}
