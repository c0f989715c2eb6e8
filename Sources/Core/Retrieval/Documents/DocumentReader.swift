/// Reads documents from files and folders (see ``DocumentFormat``), with what front matter, members of JSON Lines and folders
/// called `key=value` say of them.
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
        /// Where each id came from, and its document's place in `documents`.
        var origins: [String: (path: String, place: Int)] = [:]
        /// The named folder, links resolved.
        var root = ""
        /// The folder that ids are relative to: the named one, or one that contains it and is known of old.
        var base = ""
        /// Folders that were walked: a mount may lead back to one.
        var walked: Set<Place> = []
        /// What was named, as absolute paths.
        var named: [String] = []
        /// Two folders that were named have documents of one id.
        var hasClash = false

        mutating func skip(_ path: String, _ reason: String, below id: String? = nil) {
            skipped.append(SkippedInput(path: path, reason: reason, place: id.map { Files.joined(base, $0) }))
        }
    }

    private struct Place: Hashable {
        let device: UInt
        let inode: UInt
    }

    /// What was found below some paths.
    package struct Found: Sendable {
        package var documents: [Document]
        package var skipped: [SkippedInput]
        /// The paths themselves, absolute, links resolved.
        package var named: [String]
    }

    /// All documents below `paths`, and what was left out. An id that comes twice keeps its first document.
    /// - Throws: ``RetrievalError/Code-swift.struct/noDocuments`` when one of `paths` itself does not exist.
    package func read(_ paths: [String]) throws(RetrievalError) -> (documents: [Document], skipped: [SkippedInput]) {
        let found = try find(paths, knownRoots: [])
        return (found.documents, found.skipped)
    }

    /// - Parameter knownRoots: folders whose documents are known by ids relative to them. What lies within one keeps its ids when
    ///   a part of it is read alone.
    package func find(_ paths: [String], knownRoots: Set<String>) throws(RetrievalError) -> Found {
        let reading = try reading(paths, knownRoots: knownRoots)
        guard reading.hasClash, let parent = Files.commonFolder(of: reading.named) else { return found(reading) }
        // Of en/returns.md and zh/returns.md both are meant: relative to the folder above they have different ids.
        return found(try self.reading(paths, knownRoots: knownRoots.union([parent])))
    }

    private func found(_ reading: Reading) -> Found {
        Found(documents: reading.documents, skipped: reading.skipped, named: reading.named)
    }

    private func reading(_ paths: [String], knownRoots: Set<String>) throws(RetrievalError) -> Reading {
        var reading = Reading()
        for path in paths {
            guard let stamp = FileStamp(path: path) else {
                throw RetrievalError(.noDocuments, "\(path) does not exist or may not be read")
            }
            let name = path.split(separator: "/").last.map(String.init) ?? path
            let folder = stamp.isDirectory ? path : path.hasSuffix("/" + name) ? String(path.dropLast(name.count)) : "."
            let real = Files.resolved(folder) ?? folder
            reading.root = real
            reading.base =
                knownRoots.filter { $0 == real || Files.lies(real, in: $0) }.max { $0.count < $1.count } ?? real
            let prefix = Files.relative(real, to: reading.base)
            if stamp.isDirectory {
                reading.named.append(real)
                try walk(path, prefix: prefix, depth: 0, into: &reading)
            } else {
                reading.named.append(Files.joined(real, name))
                add(path, id: prefix + name, into: &reading)
            }
        }
        return reading
    }

    private func walk(
        _ folder: String, prefix: String, depth: Int, into reading: inout Reading
    ) throws(RetrievalError) {
        guard depth < Self.maxDepth else {
            return reading.skip(folder, "lies more than \(Self.maxDepth) folders deep", below: prefix)
        }
        if let stamp = FileStamp(path: folder),
            !reading.walked.insert(Place(device: stamp.device, inode: stamp.inode)).inserted
        {
            return reading.skip(folder, "is a folder that was read already")
        }
        let (names, illegible): ([String], [String])
        do throws(RetrievalError) { (names, illegible) = try Files.list(folder) } catch {
            // What was named itself is worth an error.
            if depth == 0 { throw error }
            return reading.skip(folder, error.message, below: prefix)
        }
        for name in illegible {
            // Nobody could ask for it by its id, and a folder may say whose it is.
            reading.skip(
                Files.joined(folder, name),
                "has a name that is not UTF-8: rename it (convmv does so for whole folders)",
                below: prefix + name)
        }
        for name in names {
            let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
            guard let stamp = FileStamp(path: path, followsLinks: false) else {
                reading.skip(path, "may not be looked at", below: prefix + name)
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
        guard let target = Files.resolved(path), let stamp = FileStamp(path: target, followsLinks: false) else {
            return reading.skip(path, "is a link to nothing", below: id)
        }
        guard Files.lies(target, in: reading.root) else {
            return reading.skip(path, "is a link out of the folder: name what it leads to, if you mean it", below: id)
        }
        guard !stamp.isDirectory else { return reading.skip(path, "is a link to a folder, which is read where it is") }
        add(target, id: id, shown: path, followsLinks: false, into: &reading)
    }

    private func add(
        _ file: String, id: String, shown: String? = nil, followsLinks: Bool = true, into reading: inout Reading
    ) {
        let path = shown ?? file
        let name = id.split(separator: "/").last.map(String.init) ?? id
        let ending = name.lastIndex(of: ".").map { name[$0...].dropFirst().lowercased() } ?? ""
        guard let format = DocumentFormat(ending: ending) else {
            return reading.skip(path, "is not \(DocumentFormat.readable)")
        }
        let origin = Document.Origin(root: reading.base, file: id)
        do throws(RetrievalError) {
            // What was named itself is meant, wherever it is.
            let bytes = try Files.read(
                file, limit: maxFileBytes, followsLinks: followsLinks, within: followsLinks ? nil : reading.root)
            let parser = DocumentParser(
                path: path, id: id, origin: origin, folders: try Self.folders(of: origin, leadingTo: file))
            for parsed in parser.parse(bytes, as: format) {
                switch parsed {
                case .document(let document, let place): keep(document, from: place, into: &reading)
                case .unreadable(let place, let reason): reading.skip(place, reason, below: id)
                }
            }
        } catch {
            reading.skip(path, error.message, below: id)
        }
    }

    /// What the folders say on the way to a file: on the one it was found by, and, where that is a link, on its own. So a
    /// tenant's document is not everybody's because somebody linked to it.
    private static func folders(
        of origin: Document.Origin, leadingTo file: String
    ) throws(RetrievalError) -> AttributeList {
        do throws(AttributeList.Mistake) {
            var list = try AttributeList(folders: Files.resolved(file) ?? file)
            try list.add(try AttributeList(folders: origin.path))
            return list
        } catch {
            throw RetrievalError(.unreadable, error.message)
        }
    }

    private func keep(_ document: Document, from path: String, into reading: inout Reading) {
        guard document.text.contains(where: { !$0.isWhitespace }) else { return reading.skip(path, "is empty") }
        if let (origin, place) = reading.origins[document.id] {
            let first = reading.documents[place]
            // The same file, named twice, is none.
            if let one = first.origin, let other = document.origin, reading.named.count > 1, one.root != other.root,
                one.path != other.path
            {
                reading.hasClash = true
            }
            let reason = "has the id \(document.id), which \(origin) has already"
            guard !first.saysTheSame(as: document) else { return reading.skip(path, reason) }
            // Rows of CSV and lines of JSON Lines: one of the two would be lost.
            return reading.skip(
                path, "\(reason), with another text: give each row and line an id that no other file has",
                below: document.origin?.file)
        }
        reading.origins[document.id] = (path, reading.documents.count)
        reading.documents.append(document)
    }
}
