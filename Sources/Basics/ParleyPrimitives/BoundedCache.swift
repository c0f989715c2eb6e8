/// Values by key, as many as fit into a number of bytes: what was used longest ago goes first.
package struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Entry {
        let key: Key
        var value: Value
        var cost: Int
    }

    private let capacity: Int
    private var places: [Key: Int] = [:]
    private var entries: [Entry?] = []
    private var freePlaces: [Int] = []
    private var order = RecencyList()
    package private(set) var bytes = 0

    /// - Parameter capacity: in bytes; 0 keeps nothing.
    package init(capacity: Int) { self.capacity = capacity }

    package var count: Int { places.count }

    /// What is kept. Counts as a use.
    package mutating func value(of key: Key) -> Value? {
        guard let place = places[key], let entry = entries[place] else { return nil }
        order.remove(place)
        order.add(place)
        return entry.value
    }

    /// - Parameter cost: bytes. What is larger than an eighth of all is not kept.
    package mutating func keep(_ value: Value, as key: Key, cost: Int) {
        remove(key)
        guard cost <= capacity / 8 else { return }
        let place = freePlaces.popLast() ?? entries.count
        if place == entries.count { entries.append(nil) }
        entries[place] = Entry(key: key, value: value, cost: cost)
        places[key] = place
        order.add(place)
        bytes += cost
        while bytes > capacity, let last = order.last, let oldest = entries[last] { remove(oldest.key) }
    }

    package mutating func remove(_ key: Key) {
        guard let place = places.removeValue(forKey: key), let entry = entries[place] else { return }
        order.remove(place)
        bytes -= entry.cost
        entries[place] = nil
        freePlaces.append(place)
    }

    package mutating func removeAll() { self = BoundedCache(capacity: capacity) }
}
