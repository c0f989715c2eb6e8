/// Values by tokens that are given out here: found by place, without hashing, and never by the token of a value that is gone.
struct Slots<Value> {
    private struct Slot {
        /// How often the slot was filled; part of its tokens, so that an old one finds nothing.
        var generation: UInt32
        var value: Value?
    }

    private var slots: [Slot] = []
    private var free: [Int] = []

    var count: Int { slots.count - free.count }

    subscript(token: UInt64) -> Value? {
        let place = Self.place(token)
        return place < slots.count && slots[place].generation == Self.generation(token) ? slots[place].value : nil
    }

    /// - Returns: the value's token, which is never 0.
    mutating func insert(_ value: Value) -> UInt64 {
        guard let place = free.popLast() else {
            slots.append(Slot(generation: 1, value: value))
            return Self.token(slots.count - 1, 1)
        }
        let generation = max(1, slots[place].generation &+ 1)
        slots[place] = Slot(generation: generation, value: value)
        return Self.token(place, generation)
    }

    /// - Returns: what was there.
    @discardableResult
    mutating func remove(_ token: UInt64) -> Value? {
        let place = Self.place(token)
        guard place < slots.count, slots[place].generation == Self.generation(token),
            let value = slots[place].value.take()
        else { return nil }
        free.append(place)
        return value
    }

    private static func token(_ place: Int, _ generation: UInt32) -> UInt64 { UInt64(generation) << 32 | UInt64(place) }
    private static func place(_ token: UInt64) -> Int { Int(token & 0xFFFF_FFFF) }
    private static func generation(_ token: UInt64) -> UInt32 { UInt32(token >> 32) }
}
