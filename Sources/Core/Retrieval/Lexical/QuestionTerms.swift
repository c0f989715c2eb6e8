/// What a question asks for, as the search reads it: for those who choose among what was found.
package struct QuestionTerms: Sendable {
    /// The most that are looked at: they are bits of a number.
    static let most = 64

    /// How much each term says, 0 … 1, as far as can be told without other texts.
    package private(set) var weights: [Float] = []
    /// Bit i: the i-th term itself, or a term that stands in for it.
    private var own: [UInt32: UInt64] = [:]
    private var standIns: [UInt32: UInt64] = [:]
    /// The terms that are called for.
    private var called: Set<UInt32> = []
    /// What the words of asking call for: `how long` for days and hours.
    private var kinds: Set<UInt32> = []
    /// Which low bits of a hash occur: most words of a text are turned away by this alone.
    private var filter = [Bool](repeating: false, count: 1024)

    package init(_ question: String) {
        var read: [(term: PlainTerms.Term, unit: Int)] = []
        var units: [UInt32] = []
        PlainTerms.forEach(in: Array(question.utf8)[...]) { term, _ in
            if !term.isPair { units.append(term.hash) }
            read.append((term, units.count - 1))
        }
        var isAsking = [Bool](repeating: false, count: units.count)
        AskingWords.standard.forEach(in: units) { _, range in for unit in range { isAsking[unit] = true } }
        /// Characters that are part of a pair say less alone.
        var isPaired = [Bool](repeating: false, count: units.count)
        for (term, unit) in read where term.isPair && !isAsking[unit] && !isAsking[unit - 1] {
            isPaired[unit] = true
            isPaired[unit - 1] = true
        }
        /// Bit i: the i-th term is made of it.
        var bits = [UInt64](repeating: 0, count: units.count)
        for (term, unit) in read where !term.isStop && !isAsking[unit] {
            let start = term.isPair ? unit - 1 : unit
            guard !isAsking[start], term.isPair || !isPaired[unit] else { continue }
            add(term.hash, weight: term.isWord || !term.isPair ? 1 : term.weight, of: start...unit, &bits)
        }
        // "What is it?": better the words every question has than none.
        if weights.isEmpty { for (term, unit) in read { add(term.hash, weight: 1, of: unit...unit, &bits) } }
        Synonyms.standard.called(by: units) { term, range in
            let covered = bits[range].reduce(0, |)
            if covered != 0 { standIns[term.hash, default: 0] |= covered }
            if isAsking[range].contains(true) { kinds.insert(term.hash) }
            called.insert(term.hash)
            filter[Int(term.hash & 1023)] = true
        }
    }

    private mutating func add(_ hash: UInt32, weight: Float, of units: ClosedRange<Int>, _ bits: inout [UInt64]) {
        guard own[hash] == nil, weights.count < Self.most else { return }
        let bit: UInt64 = 1 << UInt64(weights.count)
        own[hash] = bit
        filter[Int(hash & 1023)] = true
        for unit in units { bits[unit] |= bit }
        weights.append(weight)
    }

    /// What a text has of a question.
    package struct Matches: Sendable, Equatable {
        /// Bit i: the question's i-th term itself.
        package var own: UInt64 = 0
        /// Bit i: something that stands in for it, too.
        package var any: UInt64 = 0
        /// It has the kind of thing that is asked for.
        package var isOfKind = false

        package init() {}

        package mutating func add(_ other: Matches) {
            own |= other.own
            any |= other.any
            isOfKind = isOfKind || other.isOfKind
        }
    }

    /// - Parameter text: UTF-8.
    package func matches(in text: UnsafeBufferPointer<UInt8>) -> Matches {
        var matches = Matches()
        PlainTerms.forEach(in: text) { term, _ in
            guard filter[Int(term.hash & 1023)] else { return }
            if let bit = own[term.hash] { matches.own |= bit }
            if let bits = standIns[term.hash] { matches.any |= bits }
            if kinds.contains(term.hash) { matches.isOfKind = true }
        }
        matches.any |= matches.own
        return matches
    }

    /// The share of a heading's title that the question says, 0 … 1: the search has it, too.
    package func share(ofTitle heading: String) -> Double {
        var (said, count) = (0.0, 0.0)
        PlainTerms.forEach(in: Titles.title(of: Array(heading.utf8)[...])) { term, _ in
            guard !term.isStop, term.isWord || term.isPair else { return }
            count += 1
            said += own[term.hash] != nil ? 1 : called.contains(term.hash) ? Double(Titles.standIn) : 0
        }
        return count > 0 ? said / count : 0
    }
}

/// Words that belong to asking, not to what is asked for.
private enum AskingWords {
    static let standard: Phrases = {
        var builder = Phrases.Builder()
        for word in Array((english + " " + chinese).utf8).split(whereSeparator: { $0 <= 0x20 }) {
            builder.add(word, value: 0)
        }
        return Phrases(builder)
    }()

    private static let english = """
        a an the and or but if of to in on at by for from with without about as into than then so is are am was were be been
        being do does did done doing have has had can could will would shall should may might must i me my mine we us our
        you your it its he she they them their this that these those there here what which who whom whose when where why how
        much many long some any please tell know want need like get got just not no yes hello hi hey thanks thank dont
        im up out way day best good help make say said see look thing really very also only if now still theres one two
        first go going went come give given take let work guys question wondering something anything someone cant wont doesnt didnt isnt ive id
        """

    private static let chinese = """
        请问 请教 你好 您好 谢谢 麻烦 怎么办 怎么样 怎样 怎么 如何 什么时候 什么 为什么 为何 哪里 哪儿 哪些 哪个 哪 几天 几 多久 多少
        多长时间 是否 是不是 能不能 可不可以 可以 能否 会不会 有没有 需要 需不需要 应该 我们 你们 咱们 我的 我 你 您 它 他 她 吗 呢 吧
        啊 呀 的 了 是 这个 那个 一下 一个 如果 的话 啥时候 啥 咋办 咋 想要 想问 可不 能不 行不行 行吗 不
        """
}
