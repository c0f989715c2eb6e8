import ChatJobs
import Testing

/// What jobs are known by: no two tenants share one.
@Suite struct JobKeyTests {
    @Test func tenantsOfOneLookHaveKeysOfTheirOwn() throws {
        let id = try #require(JobID("a"))
        // The same to the eye, and to Swift: written as one character, and as a letter with its accent behind it.
        let (one, other) = ("caf\u{E9}", "cafe\u{301}")
        #expect(one == other)
        #expect(JobKey(id, tenant: one) != JobKey(id, tenant: other))
        #expect(Set([JobKey(id, tenant: one), JobKey(id, tenant: other), JobKey(id, tenant: one)]).count == 2)
    }

    @Test func aColonInATenantsNameMakesNoOthersKey() throws {
        let (id, longer) = (try #require(JobID("eu:1")), try #require(JobID("1")))
        #expect(JobKey(id, tenant: "shop") != JobKey(longer, tenant: "shop:eu"))
        #expect(JobKey(longer, tenant: "a%3A") != JobKey(longer, tenant: "a:"))
        #expect(JobKey(id, tenant: "shop").text == "shop:eu:1")
    }
}
