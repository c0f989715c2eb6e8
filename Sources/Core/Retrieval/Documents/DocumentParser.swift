import ParleyJSON

/// What a file's name says of its contents.
enum DocumentFormat: Equatable {
    case markdown, text, html, separatedValues, jsonLines, pdf, docx

    static let readable =
        "Markdown (.md), text (.txt), HTML (.html), CSV (.csv), JSON Lines (.jsonl), PDF (.pdf) or Word (.docx)"

    /// - Parameter ending: of a file's name, in lower case; nil: it is none that can be read.
    init?(ending: String) {
        switch ending {
        case "md", "markdown": self = .markdown
        case "txt", "text": self = .text
        case "html", "htm", "xhtml": self = .html
        case "csv", "tsv": self = .separatedValues
        case "jsonl", "ndjson": self = .jsonLines
        case "pdf": self = .pdf
        case "docx": self = .docx
        default: return nil
        }
    }
}

/// Makes documents of a file's contents.
struct DocumentParser {
    /// What came of a file or of one of its lines.
    enum Parsed {
        case document(Document, place: String)
        /// Something that should have been read.
        case unreadable(place: String, reason: String)
    }

    /// As messages name the file.
    let path: String
    /// Of the file's document, or what the ids of several begin with.
    let id: String
    let origin: Document.Origin
    /// What its folders say.
    let folders: AttributeList
    var pdf = Converter.pdf
    var docx = Converter.docx

    func parse(_ bytes: [UInt8], as format: DocumentFormat) -> [Parsed] {
        switch format {
        case .pdf: return [converted(bytes, by: pdf, .plain)]
        case .docx: return [converted(bytes, by: docx, .markdown)]
        case .markdown, .text, .html, .separatedValues, .jsonLines: break
        }
        let text: String
        do throws(TextEncoding.Mistake) { text = try TextEncoding.text(of: bytes) } catch {
            return [.unreadable(place: path, reason: error.message)]
        }
        switch format {
        case .markdown: return [markdown(text)]
        case .text: return [plain(text)]
        case .html: return [html(text)]
        case .separatedValues: return rows(text)
        case .jsonLines, .pdf, .docx: return lines(text)
        }
    }

    private func converted(_ bytes: [UInt8], by converter: Converter, _ syntax: Document.Syntax) -> Parsed {
        var text: String
        do throws(Converter.Failure) { text = try converter.text(of: bytes) } catch {
            return .unreadable(place: path, reason: error.message)
        }
        if syntax == .markdown {
            // What pandoc writes between two lists.
            text = text.split(separator: "\n", omittingEmptySubsequences: false).filter { $0 != "&nbsp;" }
                .joined(separator: "\n")
        }
        guard text.contains(where: { !$0.isWhitespace && $0 != "\u{C}" }) else {
            return .unreadable(place: path, reason: "has no text in it: pictures of text are not read")
        }
        let title = syntax == .markdown ? Document.markdownTitle(of: text) : nil
        return document(id: id, title: title ?? stem, text: text, syntax: syntax, place: path)
    }

    private func plain(_ text: String) -> Parsed {
        guard !FrontMatter.mentionsTenant(text) else {
            return .unreadable(
                place: path,
                reason:
                    "begins with a front matter that speaks of a tenant, which is read in Markdown only: call it \(stem).md"
            )
        }
        return document(id: id, title: stem, text: text, syntax: .plain, place: path)
    }

    private func html(_ text: String) -> Parsed {
        let page = HTMLText(text)
        var list = AttributeList()
        if let language = page.language { list.suggest(language: language) }
        let title = Document.markdownTitle(of: page.text) ?? page.title ?? stem
        return document(id: id, title: title, text: page.text, list, place: path)
    }

    /// The file's name without its ending.
    var stem: String {
        let name = id.split(separator: "/").last.map(String.init) ?? id
        return name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
    }

    func document(
        id: String, title: String, text: String, _ own: AttributeList = .init(), syntax: Document.Syntax = .markdown,
        place: String
    ) -> Parsed {
        var list = folders
        do throws(AttributeList.Mistake) {
            try list.add(own)
            try list.verify()
        } catch {
            return .unreadable(place: place, reason: error.message)
        }
        let document = Document(
            id: id, title: title, text: text, language: list.language, attributes: list.attributes,
            syntax: syntax, origin: origin)
        return .document(document, place: place)
    }

    private func markdown(_ text: String) -> Parsed {
        do throws(AttributeList.Mistake) {
            let matter = try FrontMatter(of: text)
            let body = String(matter.body)
            return document(
                id: id, title: matter.title ?? Document.markdownTitle(of: body) ?? stem, text: body, matter.list,
                place: path)
        } catch {
            return .unreadable(place: path, reason: error.message)
        }
    }

    // MARK: - JSON Lines

    private func lines(_ text: String) -> [Parsed] {
        var parsed: [Parsed] = []
        for (index, line) in text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
            parsed.append(self.line(Array(line), place: "\(path):\(index + 1)"))
        }
        return parsed
    }

    private func line(_ line: [UInt8], place: String) -> Parsed {
        let json: JSONElement
        do throws(JSONError) { json = try JSONDocument(line).root } catch {
            return .unreadable(place: place, reason: "is not JSON: \(error)")
        }
        guard let id = json["id"]?.string ?? json["id"]?.int.map(String.init), !id.isEmpty else {
            return .unreadable(place: place, reason: "has no id: each line needs {\"id\": …, \"text\": …}")
        }
        guard let text = json["text"]?.string ?? json["content"]?.string else {
            return .unreadable(place: place, reason: "has no text: each line needs {\"id\": …, \"text\": …}")
        }
        do throws(AttributeList.Mistake) {
            let matter = try FrontMatter(of: text)
            var list = matter.list
            for (name, value) in json.members where AttributeList.name(name) != nil && !value.isNull {
                try list.set(name, try Self.texts(value, of: name))
            }
            for (name, value) in json.members where AttributeList.name(name) == nil {
                guard !Self.hasTenant(value) else {
                    throw AttributeList.Mistake(
                        message:
                            "\(name) has a tenant within it, which is not read there: write \"tenant\" beside \"id\"")
                }
            }
            let title = json["title"]?.string.flatMap { $0.isEmpty ? nil : $0 } ?? matter.title
            let body = String(matter.body)
            return document(
                id: id, title: title ?? Document.markdownTitle(of: body) ?? id, text: body, list, place: place)
        } catch {
            return .unreadable(place: place, reason: error.message)
        }
    }

    /// Named by a member at whatever depth.
    private static func hasTenant(_ value: JSONElement) -> Bool {
        value.members.contains { (AttributeList.name($0) == "tenant" && !$1.isNull) || hasTenant($1) }
            || value.elements.contains(where: hasTenant)
    }

    private static func texts(_ value: JSONElement, of name: String) throws(AttributeList.Mistake) -> [String] {
        if let text = value.string ?? value.int.map(String.init) { return [text] }
        let texts = value.elements.compactMap(\.string)
        guard value.kind == .array, texts.count == value.count else {
            throw AttributeList.Mistake(message: "\(name) is neither text nor a list of texts")
        }
        return texts
    }
}
