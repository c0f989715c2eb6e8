import ChatJobs

/// The tags around quoted material of one prompt: `<passage k7f2m9qd>` … `</passage k7f2m9qd>`.
///
/// Nobody who writes a passage or a note can write the tag that ends one: the mark is drawn from all that is quoted and from
/// a secret of this process, so text that repeats a mark it has seen gets another one. The question is not quoted, stands
/// behind everything that is, and has no part in it: prompts with the same passages begin alike, and a server that keeps what
/// it has read of a prompt reads them once.
struct Fence {
    let mark: String

    private static let secret = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))
    /// Without those that look like others.
    private static let letters = Array("abcdefghijkmnpqrstuvwxyz23456789".unicodeScalars)

    /// Swift's hasher is SipHash, a keyed function; forty of its bits are one chance in a million millions, with one guess a
    /// prompt.
    init(around request: GenerationRequest) {
        var hasher = Hasher()
        hasher.combine(Self.secret.0)
        hasher.combine(Self.secret.1)
        func add(_ text: String) {
            var text = text
            // As bytes: hashed as text, letters would be normalised first.
            text.withUTF8 {
                hasher.combine($0.count)
                hasher.combine(bytes: UnsafeRawBufferPointer($0))
            }
        }
        hasher.combine(request.history.count)
        for turn in request.history {
            hasher.combine(turn.role)
            add(turn.content)
        }
        for passage in request.passages {
            add(passage.title)
            add(passage.text)
        }
        var bits = UInt(bitPattern: hasher.finalize())
        var mark = String.UnicodeScalarView()
        for _ in 0..<8 {
            mark.append(Self.letters[Int(bits & 31)])
            bits >>= 5
        }
        self.mark = String(mark)
    }

    /// A remark that the producer put into the conversation.
    func note(_ text: String) -> String { "<note \(mark)>\n\(Quotation.neutralised(text))\n</note \(mark)>" }

    /// One passage, numbered as it is cited, as UTF-8: to make a string longer costs five times as much. Its title is quoted
    /// with it.
    func append(passage number: Int, title: String, text: String, to prompt: inout [UInt8]) {
        prompt.append(text: "<passage ")
        prompt.append(text: mark)
        prompt.append(text: ">\n[")
        prompt.append(text: String(number))
        prompt.append(text: "]")
        if !title.isEmpty {
            prompt.append(text: " ")
            prompt.append(text: Quotation.onOneLine(Quotation.neutralised(title)))
        }
        prompt.append(text: "\n")
        prompt.append(text: Quotation.neutralised(text))
        prompt.append(text: "\n</passage ")
        prompt.append(text: mark)
        prompt.append(text: ">")
    }
}
