/// What a question asks for: its terms without the words every question has.
struct Question {
    /// The hashes of the terms, at most ``maxTerms``; a sentence's matches are a bit set over their indices.
    private(set) var terms: [UInt32] = []
    /// Whether the answer should be Chinese.
    let isChinese: Bool
    /// Which low bits of a hash occur among the terms: most words of a passage are turned away by this alone.
    private var filter = [Bool](repeating: false, count: 1024)

    static let maxTerms = 64

    init(_ text: String) {
        isChinese = Self.isChinese(text)
        collect(Self.withoutChineseFillers(text), skipping: Self.fillers)
        // "What is it?": better the words every question has than none.
        if terms.isEmpty { collect(text, skipping: []) }
    }

    /// The index of `hash` among the terms.
    @inline(__always)
    func index(of hash: UInt32) -> Int? {
        filter[Int(hash & 1023)] ? terms.firstIndex(of: hash) : nil
    }

    private mutating func collect(_ text: String, skipping fillers: Set<UInt32>) {
        var text = text
        text.withUTF8 { bytes in
            var scanner = TextScanner(bytes)
            for run in Self.runs(bytes) where terms.count < Self.maxTerms {
                var hashes: [UInt32] = []
                scanner.terms(in: run.range) { hashes.append($0) }
                // Of a run of wide characters the pairs say more than the characters; alone it has only itself.
                if run.isWide, hashes.count > 1 {
                    hashes = hashes.enumerated().filter { $0.offset > 0 && $0.offset % 2 == 0 }.map(\.element)
                }
                for hash in hashes where !fillers.contains(hash) && !terms.contains(hash) {
                    guard terms.count < Self.maxTerms else { return }
                    terms.append(hash)
                    filter[Int(hash & 1023)] = true
                }
            }
        }
    }

    /// The words, and the runs of wide characters.
    private static func runs(_ bytes: UnsafeBufferPointer<UInt8>) -> [(range: Range<Int>, isWide: Bool)] {
        var runs: [(range: Range<Int>, isWide: Bool)] = []
        var start = 0
        var current = TextScanner.Class.other
        var at = 0
        while at < bytes.count {
            let (kind, length) = TextScanner.classify(bytes, at)
            if kind != current {
                if current != .other { runs.append((start..<at, current == .wide)) }
                start = at
                current = kind
            }
            at = min(at + length, bytes.count)
        }
        if current != .other { runs.append((start..<bytes.count, current == .wide)) }
        return runs
    }

    /// Chinese when it has as many ideographs as words of other letters, and no kana or hangul.
    private static func isChinese(_ text: String) -> Bool {
        var ideographs = 0
        var words = 0
        var inWord = false
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x3040...0x30FF, 0xAC00...0xD7AF: return false
            case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x3FFFF:
                ideographs += 1
                inWord = false
            default:
                let isLetter = scalar.properties.isAlphabetic
                if isLetter, !inWord { words += 1 }
                inWord = isLetter
            }
        }
        return ideographs > 0 && ideographs >= words
    }

    /// `text` with spaces for the Chinese words that belong to asking, not to what is asked.
    private static func withoutChineseFillers(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 >= 0xE3 }) else { return text }
        let characters = Array(text)
        var result = ""
        result.reserveCapacity(text.utf8.count)
        var at = 0
        while at < characters.count {
            if let length = chineseFillers[characters[at]]?.first(where: { filler in
                at + filler.count <= characters.count && zip(filler, characters[at...]).allSatisfy { $0 == $1 }
            })?.count {
                result.append(" ")
                at += length
            } else {
                result.append(characters[at])
                at += 1
            }
        }
        return result
    }

    /// By first character, longer ones first.
    private static let chineseFillers: [Character: [[Character]]] = {
        let words = """
            请问 请教 你好 您好 谢谢 麻烦 怎么办 怎么样 怎样 怎么 如何 什么时候 什么 为什么 为何 哪里 哪儿 哪些 哪个 哪
            几天 几 多久 多少 多长时间 是否 是不是 能不能 可不可以 可以 能否 会不会 有没有 需要 需不需要 应该
            我们 你们 咱们 我的 我 你 您 它 他 她 吗 呢 吧 啊 呀 的 了 是 这个 那个 一下 一个 如果 的话
            啥时候 啥 咋办 咋 想要 想问 可不 能不
            """
        let fillers = words.split { $0 == " " || $0 == "\n" }.map(Array.init).sorted { $0.count > $1.count }
        return Dictionary(grouping: fillers) { $0[0] }
    }()

    /// Stems of English words that belong to asking.
    private static let fillers: Set<UInt32> = {
        var words = """
            a an the and or but if of to in on at by for from with without about as into than then so is are am was
            were be been being do does did done doing have has had can could will would shall should may might must
            i me my mine we us our you your it its he she they them their this that these those there here what
            which who whom whose when where why how much many long some any please tell know want need like get got
            just not no yes hello hi hey thanks thank don t s m re ve ll d im up out way day best good help make say
            said see look thing really very also only if now still there's one two first go going went come tell
            give given take let work
            """
        return words.withUTF8 { bytes in
            var scanner = TextScanner(bytes)
            var hashes: Set<UInt32> = []
            scanner.terms(in: 0..<bytes.count) { hashes.insert($0) }
            return hashes
        }
    }()
}
