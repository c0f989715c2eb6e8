import ParleyPrimitives
import Testing

struct EditDistanceTests {
    @Test(arguments: [
        ("", "", 0), ("query", "query", 0), ("quer", "query", 1), ("qeury", "query", 2), ("", "abc", 3),
        ("kitten", "sitting", 3),
    ])
    func bytesChangedAddedOrLeftOutAreCounted(one: String, other: String, distance: Int) {
        #expect(one.editDistance(to: other) == distance && other.editDistance(to: one) == distance)
    }
}
