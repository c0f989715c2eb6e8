/// What an index remembers of a document besides its passages: what its content was, and which file it came from.
struct DocumentMark: Sendable, Equatable {
    var hash: String
    /// The folder that the document's id is relative to, an absolute path; nil when it came from no file.
    var root: String?
    /// Its file below `root`.
    var file: String?

    /// A character that no path of a sane person has.
    private static let separator: Character = "\u{1F}"

    init(hash: String, origin: Document.Origin?) {
        self.hash = hash
        root = origin?.root
        file = origin?.file
    }

    /// Reads what ``text`` wrote; also a hash alone.
    init(_ text: String) {
        let parts = text.split(separator: Self.separator, omittingEmptySubsequences: false).map(String.init)
        hash = parts[0]
        guard parts.count == 3 else { return }
        (root, file) = (parts[1], parts[2])
    }

    /// As stores keep it.
    var text: String {
        guard let root, let file, !(root + file).contains(Self.separator) else { return hash }
        return [hash, root, file].joined(separator: String(Self.separator))
    }

    /// An absolute path.
    var path: String? { root.flatMap { root in file.map { Files.joined(root, $0) } } }
}

/// Which documents of an index are gone: those that lay below what was named and were neither read nor unreadable.
struct Departed {
    private let named: [String]
    private let unreadable: [String]
    /// Folders that are not there any more and whose documents are now read from others.
    private let moved: [String: String]

    init(_ found: DocumentReader.Found, known: [String: DocumentMark]) {
        named = found.named
        unreadable = found.skipped.compactMap(\.place)
        var moved: [String: String] = [:]
        for document in found.documents {
            guard let origin = document.origin, let root = known[document.id]?.root, root != origin.root,
                moved[root] == nil, FileStamp(path: root) == nil
            else { continue }
            moved[root] = origin.root
        }
        self.moved = moved
    }

    func contains(_ mark: DocumentMark) -> Bool {
        // Of unknown origin: nobody named it.
        guard let root = mark.root, let file = mark.file else { return false }
        let path = Files.joined(moved[root] ?? root, file)
        return named.contains { Self.covers($0, path) } && !unreadable.contains { Self.covers($0, path) }
    }

    private static func covers(_ place: String, _ path: String) -> Bool { path == place || Files.lies(path, in: place) }
}
