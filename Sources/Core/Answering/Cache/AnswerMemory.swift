import ParleyPrimitives

/// Answers kept in this worker's memory: the first tier. Bounded by bytes.
///
/// What is asked for often stays: W-TinyLFU (Einziger, Friedman and Manes, 2017). A newcomer waits in a small window; when
/// it has to leave that, it takes the place of what was used longest ago only if it was asked for more often. So a thousand
/// questions that come once do not drive out the ten that come every minute.
///
/// A value with no clock in it.
struct AnswerMemory {
    private struct Entry {
        var key: AnswerKey
        var answer: KeptAnswer
        var cost: Int
        /// By the monotonic clock.
        var freshUntil: Duration
        var goneAt: Duration
        var isInWindow: Bool
    }

    private let capacity: Int
    private let windowCapacity: Int
    private var places: [AnswerKey: Int] = [:]
    private var entries: [Entry?] = []
    private var freePlaces: [Int] = []
    private var window = RecencyList()
    private var main = RecencyList()
    private var windowBytes = 0
    private var mainBytes = 0
    private var sketch: FrequencySketch

    /// - Parameter capacity: bytes; nothing that is larger than an eighth of it is kept.
    init(capacity: Int) {
        self.capacity = capacity
        windowCapacity = capacity / 8
        // An answer with its passages is rarely below a kilobyte.
        sketch = FrequencySketch(entries: min(1 << 17, capacity / 1024))
    }

    var count: Int { places.count }
    var bytes: Int { windowBytes + mainBytes }

    /// What is kept, and whether it still is as good as new. Counts as being asked for.
    mutating func answer(to key: AnswerKey, now: Duration) -> (answer: KeptAnswer, isFresh: Bool)? {
        sketch.add(key.digits)
        guard let place = places[key], let entry = entries[place] else { return nil }
        guard entry.goneAt > now else {
            remove(place)
            return nil
        }
        if entry.isInWindow {
            window.remove(place)
            window.add(place)
        } else {
            main.remove(place)
            main.add(place)
        }
        return (entry.answer, entry.freshUntil > now)
    }

    /// - Parameters:
    ///   - life: how long it is as good as new.
    ///   - stale: how much longer it may stand in.
    mutating func keep(_ answer: KeptAnswer, as key: AnswerKey, now: Duration, life: Duration, stale: Duration) {
        if let place = places[key] { remove(place) }
        let cost = answer.cost
        guard cost <= windowCapacity, life > .zero else { return }
        let place = freePlaces.popLast() ?? entries.count
        if place == entries.count { entries.append(nil) }
        entries[place] = Entry(
            key: key, answer: answer, cost: cost, freshUntil: now + life, goneAt: now + life + stale, isInWindow: true)
        places[key] = place
        window.add(place)
        windowBytes += cost
        while windowBytes > windowCapacity, let oldest = window.last { leaveWindow(oldest, now) }
    }

    private mutating func leaveWindow(_ place: Int, _ now: Duration) {
        guard let entry = entries[place] else { return }
        window.remove(place)
        windowBytes -= entry.cost
        let candidate = sketch.count(of: entry.key.digits)
        while mainBytes + entry.cost > capacity - windowCapacity, let oldest = main.last, let victim = entries[oldest] {
            guard victim.goneAt <= now || candidate > sketch.count(of: victim.key.digits) else {
                return forget(place)
            }
            remove(oldest)
        }
        entries[place]?.isInWindow = false
        main.add(place)
        mainBytes += entry.cost
    }

    private mutating func remove(_ place: Int) {
        guard let entry = entries[place] else { return }
        if entry.isInWindow {
            window.remove(place)
            windowBytes -= entry.cost
        } else {
            main.remove(place)
            mainBytes -= entry.cost
        }
        forget(place)
    }

    /// The place is in no list any more.
    private mutating func forget(_ place: Int) {
        if let key = entries[place]?.key { places[key] = nil }
        entries[place] = nil
        freePlaces.append(place)
    }
}
