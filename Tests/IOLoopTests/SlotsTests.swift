import Testing

@testable import IOLoop

@Suite struct SlotsTests {
    @Test func aTokenFindsItsValueUntilThatIsTakenOut() {
        var slots = Slots<String>()
        let (one, other) = (slots.insert("one"), slots.insert("other"))
        #expect(slots[one] == "one" && slots[other] == "other" && slots.count == 2)
        #expect(slots.remove(one) == "one")
        #expect(slots[one] == nil && slots.remove(one) == nil && slots.count == 1)
        #expect(slots[other] == "other")
    }

    @Test func theTokenOfWhatIsGoneFindsNothingOfWhatCameInItsPlace() {
        var slots = Slots<Int>()
        let old = slots.insert(1)
        slots.remove(old)
        let new = slots.insert(2)
        #expect(slots[old] == nil && slots.remove(old) == nil)
        #expect(slots[new] == 2 && slots.count == 1)
    }

    @Test func noTokenIsZeroAndUnknownOnesFindNothing() {
        var slots = Slots<Int>()
        #expect(slots[0] == nil && slots[.max] == nil && slots.remove(.max) == nil)
        #expect(slots.insert(1) != 0)
    }
}
