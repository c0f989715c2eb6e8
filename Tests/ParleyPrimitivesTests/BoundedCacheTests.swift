import ParleyPrimitives
import Testing

struct BoundedCacheTests {
    @Test func whatWasUsedLongestAgoGoesFirst() {
        var cache = BoundedCache<Int, String>(capacity: 80)
        for key in 0..<8 { cache.keep("\(key)", as: key, cost: 10) }
        #expect(cache.value(of: 0) == "0")
        cache.keep("8", as: 8, cost: 10)
        #expect(cache.value(of: 1) == nil)
        #expect(cache.value(of: 0) == "0" && cache.value(of: 8) == "8")
        #expect(cache.count == 8 && cache.bytes == 80)
    }

    @Test func aNewValueTakesThePlaceOfTheOld() {
        var cache = BoundedCache<Int, String>(capacity: 80)
        cache.keep("old", as: 1, cost: 10)
        cache.keep("new", as: 1, cost: 5)
        #expect(cache.value(of: 1) == "new" && cache.count == 1 && cache.bytes == 5)
        cache.removeAll()
        #expect(cache.value(of: 1) == nil && cache.bytes == 0)
    }

    @Test func whatIsTooLargeIsNotKept() {
        var cache = BoundedCache<Int, String>(capacity: 80)
        cache.keep("small", as: 1, cost: 10)
        cache.keep("large", as: 1, cost: 11)
        #expect(cache.value(of: 1) == nil && cache.bytes == 0)
        var none = BoundedCache<Int, String>(capacity: 0)
        none.keep("x", as: 1, cost: 1)
        #expect(none.count == 0)
    }

    /// Against what it should be, step by step.
    @Test func itNeverTakesMoreThanItMay() {
        var cache = BoundedCache<Int, Int>(capacity: 1000)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let key = Int.random(in: 0..<200, using: &random)
            if Bool.random(using: &random) {
                cache.keep(key, as: key, cost: Int.random(in: 1...140, using: &random))
            } else if let value = cache.value(of: key) {
                #expect(value == key)
            }
            #expect(cache.bytes <= 1000)
        }
    }
}
