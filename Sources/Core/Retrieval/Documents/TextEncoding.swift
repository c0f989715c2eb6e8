import Glibc

/// Reads the bytes of a text file: UTF-8, UTF-16 with or without a byte order mark, and what Chinese systems write (GB 18030, which GBK
/// and GB 2312 are part of).
enum TextEncoding {
    struct Mistake: Error, Equatable { let message: String }

    static func text(of bytes: [UInt8]) throws(Mistake) -> String {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return try utf8(bytes[3...]) }
        if bytes.starts(with: [0xFF, 0xFE]) { return try utf16(bytes.dropFirst(2), highFirst: false) }
        if bytes.starts(with: [0xFE, 0xFF]) { return try utf16(bytes.dropFirst(2), highFirst: true) }
        if let text = unmarkedUTF16(bytes) { return text }
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        if isLikelyChinese(bytes) { return try gb18030(bytes) }
        throw Mistake(message: "is not valid UTF-8, nor UTF-16 with a byte order mark or GB18030: save it as UTF-8")
    }

    private static func utf8(_ bytes: ArraySlice<UInt8>) throws(Mistake) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Mistake(message: "is not valid UTF-8") }
        return text
    }

    private static func utf16(_ bytes: ArraySlice<UInt8>, highFirst: Bool) throws(Mistake) -> String {
        let bytes = Array(bytes)
        let units = stride(from: 0, to: bytes.count - 1, by: 2).map { place in
            let (one, two) = (UInt16(bytes[place]), UInt16(bytes[place + 1]))
            return highFirst ? one << 8 | two : two << 8 | one
        }
        guard bytes.count % 2 == 0, let text = String(validating: units, as: UTF16.self) else {
            throw Mistake(message: "begins as UTF-16 does, and is not valid UTF-16")
        }
        return text
    }

    /// UTF-16 without a mark: where spaces and ends of lines are, which have a byte 0 as nothing in a text of one byte a letter
    /// has, and nothing but what is written otherwise. Nil of everything else.
    private static func unmarkedUTF16(_ bytes: [UInt8]) -> String? {
        guard bytes.count >= 2, bytes.count % 2 == 0, bytes.contains(0) else { return nil }
        var (low, high) = (0, 0)
        for place in stride(from: 0, to: bytes.count, by: 2) {
            let pair = (bytes[place], bytes[place + 1])
            if pair.1 == 0, [0x20, 0x0A, 0x0D].contains(pair.0) { low += 1 }
            if pair.0 == 0, [0x20, 0x0A, 0x0D].contains(pair.1) { high += 1 }
        }
        guard low != high, let text = try? utf16(bytes[...], highFirst: high > low) else { return nil }
        let isText = text.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control: "\t\n\r\u{C}".unicodeScalars.contains(scalar)
            case .unassigned, .surrogate, .privateUse: false
            default: true
            }
        }
        return isText ? text : nil
    }

    /// Any pairs of bytes are some Chinese characters: it is believed when nine of ten are such as people write, those of
    /// GB 2312, and nothing else is there but ASCII.
    private static func isLikelyChinese(_ bytes: [UInt8]) -> Bool {
        var common = 0
        var rare = 0
        var at = 0
        while at < bytes.count {
            guard bytes[at] >= 0x80 else {
                at += 1
                continue
            }
            let lead = bytes[at]
            guard at + 1 < bytes.count else { return false }
            let isCommon = (0xA1...0xF7).contains(lead) && (0xA1...0xFE).contains(bytes[at + 1])
            if isCommon { common += 1 } else { rare += 1 }
            // Four bytes have a digit in second place.
            at += (0x30...0x39).contains(bytes[at + 1]) ? 4 : 2
        }
        return common > 0 && common >= rare * 9
    }

    private static func gb18030(_ bytes: [UInt8]) throws(Mistake) -> String {
        guard let converter = iconv_open("UTF-8", "GB18030"), converter != iconv_t(bitPattern: -1) else {
            throw Mistake(
                message: "looks like GB18030, for which the C library has no converter here (Debian: libc-bin or "
                    + "libc-gconv-modules-extra): save it as UTF-8")
        }
        defer { iconv_close(converter) }
        var input = bytes.map(CChar.init(bitPattern:))
        var output = [UInt8](repeating: 0, count: bytes.count * 2 + 16)
        let filled = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBytes { output -> Int? in
                var from = input.baseAddress
                var fromLeft = input.count
                var to = output.baseAddress?.assumingMemoryBound(to: CChar.self)
                var toLeft = output.count
                let result = iconv(converter, &from, &fromLeft, &to, &toLeft)
                return result == -1 || fromLeft > 0 ? nil : output.count - toLeft
            }
        }
        guard let filled, let text = String(validating: output[..<filled], as: UTF8.self) else {
            throw Mistake(message: "is neither valid UTF-8 nor valid GB18030: save it as UTF-8")
        }
        return text
    }
}
