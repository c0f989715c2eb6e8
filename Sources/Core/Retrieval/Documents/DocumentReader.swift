import ParleyJSON

/// Reads documents from files and folders: Markdown (`.md`, `.markdown`), plain text (`.txt`, `.text`) and JSON Lines
/// (`.jsonl`, `.ndjson`: a line is `{"id", "title", "text" or "content", "language"}`, of which id and text are needed).
///
/// Folders are walked with all below them, in the order of names, hidden files left out. Links in them are followed to files
/// within the folder that was named, and nowhere else: what else the user may read is not what was meant.
package struct DocumentReader: Sendable {
    /// A longer file is skipped. Default 64 MiB.
    package var maxFileBytes = 64 << 20

    package init() {}

    private static let maxDepth = 32

    private struct Reading {
        var documents: [Document] = []
        var skipped: [SkippedInput] = []
        /// Where each id came from.
        var origins: [String: String] = [:]
        /// The named folder, links resolved.
        var root = ""
        /// Folders that were walked: a mount may lead back to one.
        var walked: Set<Place> = []
    }

    private struct Place: Hashable {
        let device: UInt
        let inode: UInt
    }

    /// All documents below `paths`, and what was left out. An id that comes twice keeps its first document.
    /// - Throws: ``RetrievalError/Code-swift.struct/noDocuments`` when one of `paths` itself does not exist.
    package func read(_ paths: [String]) throws(RetrievalError) -> (documents: [Document], skipped: [SkippedInput]) {
        var reading = Reading()
        for path in paths {
            guard let stamp = FileStamp(path: path) else {
                throw RetrievalError(.noDocuments, "\(path) does not exist or may not be read")
            }
            if stamp.isDirectory {
                reading.root = Files.resolved(path) ?? path
                try walk(path, prefix: "", depth: 0, into: &reading)
            } else {
                let name = path.split(separator: "/").last.map(String.init) ?? path
                add(path, id: name, into: &reading)
            }
        }
        return (reading.documents, reading.skipped)
    }

    private func walk(
        _ folder: String, prefix: String, depth: Int, into reading: inout Reading
    ) throws(RetrievalError) {
        guard depth < Self.maxDepth else {
            return reading.skipped.append(
                SkippedInput(path: folder, reason: "lies more than \(Self.maxDepth) folders deep"))
        }
        if let stamp = FileStamp(path: folder),
            !reading.walked.insert(Place(device: stamp.device, inode: stamp.inode)).inserted
        {
            return reading.skipped.append(SkippedInput(path: folder, reason: "is a folder that was read already"))
        }
        for name in try Files.list(folder) {
            let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
            guard let stamp = FileStamp(path: path, followsLinks: false) else {
                reading.skipped.append(SkippedInput(path: path, reason: "may not be looked at"))
                continue
            }
            if stamp.isDirectory {
                try walk(path, prefix: "\(prefix)\(name)/", depth: depth + 1, into: &reading)
            } else if stamp.isLink {
                follow(path, id: prefix + name, into: &reading)
            } else {
                add(path, id: prefix + name, followsLinks: false, into: &reading)
            }
        }
    }

    /// A link to a file within the named folder is that file (Kubernetes mounts configuration so).
    private func follow(_ path: String, id: String, into reading: inout Reading) {
        func skip(_ reason: String) { reading.skipped.append(SkippedInput(path: path, reason: reason)) }
        guard let target = Files.resolved(path), let stamp = FileStamp(path: target, followsLinks: false) else {
            return skip("is a link to nothing")
        }
        guard Files.lies(target, in: reading.root) else {
            return skip("is a link out of the folder: name what it leads to, if you mean it")
        }
        guard !stamp.isDirectory else { return skip("is a link to a folder, which is read where it is") }
        add(target, id: id, shown: path, followsLinks: false, into: &reading)
    }

    private func add(
        _ file: String, id: String, shown: String? = nil, followsLinks: Bool = true, into reading: inout Reading
    ) {
        let path = shown ?? file
        let name = id.split(separator: "/").last.map(String.init) ?? id
        let stem = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
        let ending = name.lastIndex(of: ".").map { name[$0...].dropFirst().lowercased() } ?? ""
        func skip(_ reason: String) { reading.skipped.append(SkippedInput(path: path, reason: reason)) }
        guard ["md", "markdown", "txt", "text", "jsonl", "ndjson"].contains(ending) else {
            return skip("is not Markdown (.md), text (.txt) or JSON Lines (.jsonl)")
        }
        do throws(RetrievalError) {
            // What was named itself is meant, wherever it is.
            var bytes = try Files.read(
                file, limit: maxFileBytes, followsLinks: followsLinks, within: followsLinks ? nil : reading.root)
            if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
            if ending == "jsonl" || ending == "ndjson" { return addLines(bytes, path: path, into: &reading) }
            guard let text = String(validating: bytes, as: UTF8.self) else { return skip("is not valid UTF-8") }
            let isMarkdown = ending == "md" || ending == "markdown"
            let title = isMarkdown ? Document.markdownTitle(of: text) : nil
            keep(Document(id: id, title: title ?? stem, text: text), from: path, into: &reading)
        } catch {
            skip(error.message)
        }
    }

    private func addLines(_ bytes: [UInt8], path: String, into reading: inout Reading) {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let place = "\(path):\(index + 1)"
            func skip(_ reason: String) { reading.skipped.append(SkippedInput(path: place, reason: reason)) }
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
            do throws(JSONError) {
                let json = try JSONDocument(Array(line)).root
                guard let id = json["id"]?.string ?? json["id"]?.int.map(String.init), !id.isEmpty else {
                    skip("has no id: each line needs {\"id\": …, \"text\": …}")
                    continue
                }
                guard let text = json["text"]?.string ?? json["content"]?.string else {
                    skip("has no text: each line needs {\"id\": …, \"text\": …}")
                    continue
                }
                let title = json["title"]?.string.flatMap { $0.isEmpty ? nil : $0 } ?? Document.markdownTitle(of: text)
                let language = json["language"]?.string ?? json["lang"]?.string
                keep(Document(id: id, title: title ?? id, text: text, language: language), from: place, into: &reading)
            } catch {
                skip("is not JSON: \(error)")
            }
        }
    }

    private func keep(_ document: Document, from path: String, into reading: inout Reading) {
        func skip(_ reason: String) { reading.skipped.append(SkippedInput(path: path, reason: reason)) }
        guard document.text.contains(where: { !$0.isWhitespace }) else { return skip("is empty") }
        if let origin = reading.origins[document.id] {
            return skip("has the id \(document.id), which \(origin) has already")
        }
        reading.origins[document.id] = path
        reading.documents.append(document)
    }
}
