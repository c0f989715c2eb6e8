/// Foreign text made safe to look at.
///
/// What producers, models, documents and servers sent could steer a terminal: move its cursor, change its title, type into
/// it, forge lines, or turn the direction of writing so that a line reads as another one. Here each such character is shown
/// as its escape, and nothing else is changed.
package enum VisibleText {
    /// - Parameter lines: whether line feeds and tabs stay, for text of several lines. Otherwise they are shown, too: what
    ///   belongs on one line cannot make a second.
    package static func of(_ text: some StringProtocol, lines: Bool = true) -> String {
        guard text.utf8.contains(where: isSuspect) else { return String(text) }
        var shown = String.UnicodeScalarView()
        var scalars = text.unicodeScalars.makeIterator()
        var next = scalars.next()
        while let scalar = next {
            next = scalars.next()
            switch scalar {
            case "\n" where lines, "\t" where lines: shown.append(scalar)
            // A line's end as Windows writes it is no trick.
            case "\r" where lines && next == "\n": break
            case "\n": shown.append(contentsOf: #"\n"#.unicodeScalars)
            case "\r": shown.append(contentsOf: #"\r"#.unicodeScalars)
            case "\t": shown.append(contentsOf: #"\t"#.unicodeScalars)
            case _ where steers(scalar):
                let digits = String(scalar.value, radix: 16, uppercase: true)
                shown.append(contentsOf: "\\u{\(digits)}".unicodeScalars)
            default: shown.append(scalar)
            }
        }
        return String(shown)
    }

    /// JSON text that says the same, and holds none of these characters: within a string, the only place where JSON has
    /// them, they become JSON's own escapes.
    package static func ofJSON(_ json: [UInt8]) -> [UInt8] {
        guard json.contains(where: { $0 >= 0x7F }) else { return json }
        var shown: [UInt8] = []
        shown.reserveCapacity(json.count + 16)
        for scalar in String(decoding: json, as: UTF8.self).unicodeScalars {
            // Below 0x20 stands only what is between the tokens.
            if scalar.value >= 0x7F, steers(scalar) {
                for unit in UTF16.encode(scalar).map(Array.init) ?? [] {
                    let digits = String(unit, radix: 16)
                    shown += Array(#"\u"#.utf8) + Array(String(repeating: "0", count: 4 - digits.count).utf8)
                    shown += Array(digits.utf8)
                }
            } else {
                UTF8.encode(scalar).map { shown.append(contentsOf: $0) }
            }
        }
        return shown
    }

    /// Quick: plain ASCII is passed by.
    private static func isSuspect(_ byte: UInt8) -> Bool { byte < 0x20 || byte >= 0x7F }

    /// Controls, marks of direction and other formats that are not seen, ends of lines that terminals do not agree on.
    /// The joiners stay: Persian and the scripts of India cannot be written without them, nor many emoji.
    package static func steers(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value == 0x200C || scalar.value == 0x200D { return false }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: return true
        default: return false
        }
    }
}
