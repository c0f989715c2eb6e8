import ChatJobs
import ParleyJSON
import ParleyRabbitMQ
import Testing
import Topology

@testable import Operations

func letter(
    _ body: String = #"{"id":"a","query":"q","tenant":"shop"}"#, id: String? = "a", headers: FieldTable = FieldTable(),
    encoding: String? = nil
) -> Delivery {
    Delivery(
        tag: DeliveryTag(epoch: 1, number: 1), routingKey: "chat.jobs.dead",
        properties: MessageProperties(
            contentType: "application/json", contentEncoding: encoding, headers: headers, priority: 7,
            correlationID: "c", replyTo: "r", expiration: "5000", messageID: id, timestamp: 42, userID: "guest"),
        body: Array(body.utf8))
}

struct DeadLetterTests {
    static let headers: FieldTable = [
        "x-parley-error-code": "model_timeout", "x-parley-error": "too slow", "x-parley-attempts": 5,
        "x-parley-dead-at": "2026-11-22T22:00:00.000Z", "x-parley-source-queue": "chat.jobs.high",
        "x-parley-requeues": 2,
    ]

    @Test func whatTheHeadersAndTheBodySayIsRead() {
        let letter = DeadLetter(letter(headers: Self.headers))
        #expect(letter.code == "model_timeout" && letter.error == "too slow" && letter.attempts == 5)
        #expect(letter.deadAt == Timestamp("2026-11-22T22:00:00Z") && letter.sourceQueue == "chat.jobs.high")
        #expect(letter.requeues == 2 && letter.id == "a" && letter.tenant == "shop")
    }

    @Test(arguments: ["", "not json", "[]", #"{"tenant":7,"id":[]}"#, "\u{0}"])
    func aBodyThatIsNoJobHasNoTenant(_ body: String) {
        let letter = DeadLetter(letter(body, id: nil))
        #expect(letter.tenant == nil && letter.id == nil && letter.code == nil && letter.requeues == 0)
        var filter = LetterFilter()
        filter.tenant = "shop"
        #expect(!filter.matches(letter))
        #expect(LetterFilter().matches(letter))
        var json = JSONWriter()
        letter.writeWhole(to: &json)
        #expect((try? JSONDocument(json.bytes))?.root.kind == .object)
    }

    @Test func whereUsersDecideALetterIsTheirTenants() {
        var tenancy = Tenancy()
        tenancy.mode = .authenticated
        tenancy.tenants = ["anna": "shop-eu"]
        let relay = Relay(user: "guest", others: [], tenancy: tenancy)
        // The body says shop.
        #expect(DeadLetter(letter(headers: ["x-parley-user": "anna"]), relay: relay).tenant == "shop-eu")
        #expect(DeadLetter(letter(headers: ["x-parley-user": "bert"]), relay: relay).tenant == "bert")
        var filter = LetterFilter()
        filter.tenant = "shop"
        #expect(!filter.matches(DeadLetter(letter(headers: ["x-parley-user": "anna"]), relay: relay)))
        filter.tenant = "shop-eu"
        #expect(filter.matches(DeadLetter(letter(headers: ["x-parley-user": "anna"]), relay: relay)))
    }

    @Test func whatClaimsToBeGzipAndIsNotIsLeftAsItIs() {
        #expect(DeadLetter(letter(encoding: "gzip")).tenant == "shop")
    }

    @Test func aByteOrderMarkIsNoPartOfTheJob() {
        #expect(DeadLetter(letter("\u{FEFF}" + #"{"tenant":"shop"}"#)).tenant == "shop")
    }

    @Test func theIdOfTheBodyServesWhenThePropertyIsMissing() {
        #expect(DeadLetter(letter(#"{"id":"b"}"#, id: nil)).id == "b")
        #expect(DeadLetter(letter(#"{"id":"b"}"#, id: "a")).id == "a")
    }

    @Test func everyFilterThatIsGivenMustHold() {
        let letter = DeadLetter(letter(headers: Self.headers))
        func matches(_ change: (inout LetterFilter) -> Void) -> Bool {
            var filter = LetterFilter()
            filter.ids = ["a", "z"]
            filter.codes = [.modelTimeout, .internal]
            filter.tenant = "shop"
            filter.after = Timestamp("2026-11-22T22:00:00Z")
            filter.before = Timestamp("2026-11-22T22:00:01Z")
            change(&filter)
            return filter.matches(letter)
        }
        #expect(matches { _ in })
        #expect(!matches { $0.ids = ["z"] })
        #expect(!matches { $0.codes = [.internal] })
        #expect(!matches { $0.tenant = "shop-eu" })
        #expect(!matches { $0.after = Timestamp("2026-11-22T22:00:00.001Z") })
        #expect(!matches { $0.before = Timestamp("2026-11-22T22:00:00Z") })
    }

    @Test func aLetterWithoutATimeIsNeitherBeforeNorAfter() {
        var filter = LetterFilter()
        filter.before = Timestamp(milliseconds: .max)
        #expect(!filter.matches(DeadLetter(letter())))
        #expect(!filter.isEmpty)
    }

    @Test func aRequeuedJobIsTheProducersAgain() {
        var headers = Self.headers
        headers["x-shop"] = "kept"
        headers["traceparent"] = "00-1-2-01"
        headers["x-parley-retries"] = 4
        headers["x-parley-deferrals"] = 9
        headers["x-parley-refusals"] = 2
        headers["x-death"] = .array([.table(["count": 3])])
        headers["x-first-death-queue"] = "q"
        headers["x-delivery-count"] = 3
        let properties = MessageHeaders.requeued(letter(headers: headers).properties)
        #expect(
            properties.headers.keys.sorted() == ["traceparent", "x-parley-expiration", "x-parley-requeues", "x-shop"])
        #expect(properties.headers["x-parley-requeues"]?.int == 3)
        #expect(properties.headers["x-shop"]?.string == "kept")
        #expect(properties.deliveryMode == 2 && properties.userID == nil && properties.expiration == nil)
        #expect(properties.priority == 7 && properties.replyTo == "r" && properties.correlationID == "c")
        #expect(properties.messageID == "a" && properties.timestamp == 42)
        #expect(properties.contentType == "application/json")
    }

    @Test(arguments: [FieldValue.string("many"), .int(-5), .null])
    func aRequeueCountThatIsNoneCountsFromZero(_ value: FieldValue) {
        let requeued = MessageHeaders.requeued(letter(headers: ["x-parley-requeues": value]).properties)
        #expect(requeued.headers["x-parley-requeues"]?.int == 1)
    }

    @Test func lettersAreGroupedByCodeAndQueue() {
        let groups = LetterGroups()
        for (index, code) in ["internal", "expired", "internal", "internal"].enumerated() {
            groups.add(
                DeadLetter(
                    letter(
                        id: "\(index)",
                        headers: [
                            "x-parley-error-code": .string(code), "x-parley-source-queue": "q",
                            "x-parley-dead-at": .string("2026-11-22T22:00:0\(9 - index)Z"),
                        ])))
        }
        groups.add(DeadLetter(letter()))
        let sorted = groups.sorted
        #expect(sorted.map(\.code) == ["internal", "", "expired"])
        #expect(sorted.map(\.count) == [3, 1, 1])
        #expect(sorted[0].first == Timestamp("2026-11-22T22:00:06Z"))
        #expect(sorted[0].last == Timestamp("2026-11-22T22:00:09Z"))
        #expect(sorted[0].sample.id == "0")
    }

    @Test func headersWithoutEndDoNotBecomeGroupsWithoutEnd() {
        let groups = LetterGroups()
        for index in 0..<3000 { groups.add(DeadLetter(letter(headers: ["x-parley-error-code": .string("c\(index)")]))) }
        #expect(groups.sorted.count == 1001)
        #expect(groups.sorted.reduce(0) { $0 + $1.count } == 3000)
    }

    @Test func summariesAreStableJSON() throws {
        var summary = LetterSummary(.requeue)
        summary.matched = 3
        summary.done = 2
        summary.failed = 1
        summary.scanned = 9
        summary.seconds = 1.5
        var json = JSONWriter()
        summary.write(to: &json)
        #expect(
            String(decoding: json.bytes, as: UTF8.self)
                == #"{"matched":3,"requeued":2,"failed":1,"scanned":9,"dry_run":false,"interrupted":false,"seconds":1.5}"#
        )
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ])
    func bytesAreWrittenInBase64(_ text: String, _ expected: String) { #expect(base64(Array(text.utf8)) == expected) }

    @Test func aFilterTellsTheAuditItsWords() {
        var filter = LetterFilter()
        #expect(filter.description == "all")
        filter.codes = [.modelTimeout, .internal]
        filter.tenant = "shop"
        #expect(filter.description == "error=internal,model_timeout tenant=shop")
    }
}
