/// What tags are written with, and what compatibility normalisation (NFKC, Unicode Standard Annex #15) and folding of case
/// make into it: full-width, small, raised and lowered, encircled and boxed characters, and the letters of mathematics.
enum Lookalikes {
    /// The character as ASCII, in lower case; nil for what no tag is written with.
    static func ascii(_ scalar: Unicode.Scalar) -> UInt8? {
        switch scalar.value {
        case 0x41...0x5A: return UInt8(truncatingIfNeeded: scalar.value | 0x20)
        case 0..<0x80: return UInt8(truncatingIfNeeded: scalar.value)
        // Thirteen alphabets of 52 letters each; the places of some are empty, since they are older than the block.
        case 0x1D400...0x1D6A3: return UInt8(ascii: "a") + UInt8((scalar.value - 0x1D400) % 26)
        default: return others[scalar]
        }
    }

    /// The other characters that NFKC makes `<`, `＜` and `﹤`, are this byte and two more in UTF-8.
    static let angleLead: UInt8 = 0xEF
    static func isAngle(_ second: UInt8, _ third: UInt8) -> Bool {
        (second, third) == (0xBC, 0x9C) || (second, third) == (0xB9, 0xA4)
    }

    private static let others: [Unicode.Scalar: UInt8] = {
        let alike: KeyValuePairs = [
            "<": "﹤＜", ">": "﹥＞", "/": "／", "a": "ªᴬᵃₐⒶⓐＡａ🄰", "e": "ᴱᵉₑℯℰⅇⒺⓔＥｅ🄴", "g": "ᴳᵍℊⒼⓖＧｇ🄶", "n": "ᴺⁿₙℕⓃⓝＮｎ🄽",
            "o": "ºᴼᵒₒℴⓄⓞＯｏ🄾", "p": "ᴾᵖₚℙⓅⓟＰｐ🄿", "s": "ſˢₛⓈⓢＳｓ🅂", "t": "ᵀᵗₜⓉⓣＴｔ🅃",
        ]
        var table: [Unicode.Scalar: UInt8] = [:]
        for (letter, forms) in alike {
            for form in forms.unicodeScalars { table[form] = letter.utf8.first }
        }
        return table
    }()
}
