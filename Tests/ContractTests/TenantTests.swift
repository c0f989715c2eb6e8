import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// `tenants.mode: authenticated`: the user that the broker has vouched for decides whose a job is.
extension LeastPrivilegeTests {
    private func withTenants(
        _ settings: [String: String] = [:], _ body: (Worker) async throws -> Void
    ) async throws {
        let tenants = ["tenants.mode": "authenticated", "tenants.users": "producer=shop-eu", "retry.base": "10ms"]
        try await withWorker(tenants.merging(settings) { $1 }, body)
    }

    private func publish(
        _ body: String, as user: String, id: String, userID: String?, headers: FieldTable = [:], to worker: Worker
    ) async throws {
        try await withUser(user) { connection, channel in
            var properties = MessageProperties(messageID: id, userID: userID)
            properties.headers = headers
            let message = OutgoingMessage(
                exchange: "chat", routingKey: worker.queue, properties: properties, body: Array(body.utf8))
            let outcome = try await connection.publish(message, channel: channel)
            #expect(outcome == .confirmed)
        }
    }

    private func stored(_ key: String) async throws -> JSONElement {
        try await eventually("what is stored under \(key)") {
            var found: [UInt8]?
            try await withRedis("parley") { found = try await $0.send(RedisCommand("GET", key)).bytes }
            return try found.map { try JSONDocument($0).root }
        }
    }

    private func deadLetter(_ id: String, _ worker: Worker) async throws -> FieldTable {
        var headers: FieldTable?
        try await withUser("operator") { connection, channel in
            headers = try await eventually("the dead letter") { () async throws -> FieldTable? in
                guard let letter = try await connection.get(worker.dead, noAck: true, channel: channel) else {
                    return nil
                }
                return letter.properties.messageID == id ? letter.properties.headers : nil
            }
        }
        return try #require(headers)
    }

    @Test func tenantsWithTheSameIDsDoNotMeet() async throws {
        try await withTenants { worker in
            let id = unique()
            try await publish(#"{"query":"ours"}"#, as: "producer", id: id, userID: "producer", to: worker)
            #expect(try await stored("chat:result:shop-eu:\(id)")["answer"]?.string == "ours")
            try await publish(
                #"{"query":"theirs","tenant":"operator"}"#, as: "operator", id: id, userID: "operator", to: worker)
            #expect(try await stored("chat:result:operator:\(id)")["answer"]?.string == "theirs")
            #expect(try await stored("chat:result:shop-eu:\(id)")["answer"]?.string == "ours")

            let owned = settings("producer").merging(["tenants.mode": "authenticated"]) { $1 }
            let result = try await parley("result", id, "--tenant", "shop-eu", "--json", settings: owned)
            #expect(result.status == 0 && result.output.contains("ours"), "\(result.errors)")
            #expect(try await parley("result", id, settings: owned).status == 2, "whose?")
            let asked = try await parley(
                "ask", "Is anybody there?", "--json",
                settings: owned.merging(["tenants.users": "producer=shop-eu"]) { $1 })
            #expect(asked.status == 0, "\(asked.errors)")
        }
    }

    @Test(arguments: [
        (#"{"query":"x"}"#, nil, "user_id"),
        (#"{"query":"x","tenant":"operator"}"#, "producer", "publishes for another"),
    ])
    func whoIsNotVouchedForIsRefused(body: String, userID: String?, words: String) async throws {
        try await withTenants { worker in
            let id = unique()
            try await publish(body, as: "producer", id: id, userID: userID, to: worker)
            let headers = try await deadLetter(id, worker)
            #expect(headers["x-parley-error-code"]?.string == "invalid_job")
            #expect(headers["x-parley-error"]?.string?.contains(words) == true)
        }
    }

    @Test func whatIsKeptOfATenantCanBeForgotten() async throws {
        try await withTenants { worker in
            let ids = (0..<3).map { _ in unique() }
            for id in ids {
                try await publish(#"{"query":"ours"}"#, as: "producer", id: id, userID: "producer", to: worker)
                _ = try await stored("chat:result:shop-eu:\(id)")
            }
            let (other, bad) = (unique(), unique())
            try await publish(#"{"query":"theirs"}"#, as: "operator", id: other, userID: "operator", to: worker)
            _ = try await stored("chat:result:operator:\(other)")
            try await publish("nonsense", as: "producer", id: bad, userID: "producer", to: worker)
            // Whose letters the worker's are, an operator knows who believes the worker.
            let owned = settings("operator").merging(
                ["tenants.mode": "authenticated", "tenants.users": "producer=shop-eu", "tenants.relays": "parley"]
            ) { $1 }
            // The letter is written after the result is stored.
            try await waitUntil("the dead letter") {
                try await parley("dead", "list", "--each", "--json", settings: owned).output.contains(bad)
            }
            let none = try await parley("forget", "--id", ids[0], "--yes", settings: owned)
            #expect(none.status == 2, "whose?")
            let one = try await parley(
                "forget", "--id", ids[0], "--tenant", "shop-eu", "--yes", "--json", settings: owned)
            #expect(one.status == 0, "\(one.errors)")
            #expect(try one.lines.first?["results"]?.int == 1)
            // The broker may have the letter in its hands still that the command before has given back.
            var (results, letters) = (0, 0)
            try await waitUntil("the letter is forgotten") {
                let rest = try await parley("forget", "--tenant", "shop-eu", "--yes", "--json", settings: owned)
                #expect(rest.status == 0, "\(rest.errors)")
                results += try rest.lines.first?["results"]?.int ?? 0
                letters += try rest.lines.first?["dead_letters"]?.int ?? 0
                return letters > 0
            }
            #expect(results == 3 && letters == 1)
            _ = try await stored("chat:result:operator:\(other)")
        }
    }

    @Test func theProducerIsKnownAfterARetryAndNobodyCanSayToBeOne() async throws {
        let model = try await ModelServer { _, count in count == 1 ? .fails(500) : .answers }
        try await withTenants(["model.url": model.url]) { worker in
            let id = unique()
            // Written by a producer the header means nothing.
            try await publish(
                #"{"query":"ours"}"#, as: "producer", id: id, userID: "producer",
                headers: ["x-parley-user": "operator"], to: worker)
            let reply = try await stored("chat:result:shop-eu:\(id)")
            #expect(reply["status"]?.string == "succeeded" && reply["attempts"]?.int == 2)
        }
    }

    /// From the broker's word to the passages, the answer cache between them being everybody's.
    @Test func aTenantsDocumentsAnswerItsQuestionsAlone() async throws {
        let folder = try Folder()
        for (tenant, price) in [("shop-eu", 17), ("operator", 99)] {
            try folder.write(
                "\(tenant).md", "---\ntenant: \(tenant)\n---\n# Zebra\n\nThe zebra costs \(price) euros in this shop.\n"
            )
        }
        try folder.write("parcel.md", "# Parcels\n\nThe parcel of a zebra is large.\n")
        let index = ["vectors.url": "file:\(folder.path)/.k.index"]
        #expect(try await parley("ingest", folder.path, settings: index).status == 0)
        let knowing = index.merging(["model.url": "builtin:extractive", "cache.scope": "all"]) { $1 }
        try await withTenants(knowing) { worker in
            for (user, tenant) in [("producer", "shop-eu"), ("operator", "operator"), ("producer", "shop-eu")] {
                let id = unique()
                try await publish(
                    #"{"query":"How much does the zebra cost?","options":{"retrieve":"always"}}"#, as: user, id: id,
                    userID: user, to: worker)
                let reply = try await stored("chat:result:\(tenant):\(id)")
                let sources = reply["sources"]?.elements.compactMap { $0["id"]?.string } ?? []
                #expect(sources == ["\(tenant).md#1"])
                #expect(reply["answer"]?.string?.contains(tenant == "operator" ? "99" : "17") == true)
            }
        }
        let everybodys = try await parley("search", "zebra", "--json", settings: index)
        #expect(!everybodys.output.contains("euros") && everybodys.output.contains("parcel.md"))
        let ours = try await parley("search", "zebra", "--tenant", "shop-eu", "--json", settings: index)
        #expect(ours.output.contains("17 euros") && !ours.output.contains("99 euros"))
        let wrong = try await parley("search", "zebra", "--filter", "tenant=operator", settings: index)
        #expect(wrong.status == 2 && wrong.errors.contains("tenant cannot be set"))
    }
}
