import Glibc

/// What a look at a path says.
struct FileStamp: Equatable, Sendable {
    var isDirectory: Bool
    var isRegular: Bool
    var size: Int
    /// A link, when links were not followed.
    var isLink: Bool
    private(set) var device: UInt
    private(set) var inode: UInt
    private var seconds: Int
    private var nanoseconds: Int

    /// Nil when there is nothing at `path`, or it may not be looked at.
    init?(path: String, followsLinks: Bool = true) {
        var status = stat()
        guard (followsLinks ? stat(path, &status) : lstat(path, &status)) == 0 else { return nil }
        isLink = status.st_mode & S_IFMT == S_IFLNK
        isDirectory = status.st_mode & S_IFMT == S_IFDIR
        isRegular = status.st_mode & S_IFMT == S_IFREG
        size = Int(status.st_size)
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
        seconds = status.st_mtim.tv_sec
        nanoseconds = status.st_mtim.tv_nsec
    }
}

/// Reading and writing whole files.
enum Files {
    /// Names in a folder, sorted by their bytes, without hidden ones; those that are not UTF-8 only as they can be shown.
    static func list(_ path: String) throws(RetrievalError) -> (names: [String], illegible: [String]) {
        guard let folder = opendir(path) else { throw failure("cannot list", path) }
        defer { closedir(folder) }
        var names: [String] = []
        var illegible: [String] = []
        while let entry = readdir(folder) {
            let (name, shown) = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                    (String(validatingCString: $0), String(cString: $0))
                }
            }
            if shown.utf8.first == UInt8(ascii: ".") { continue }
            if let name { names.append(name) } else { illegible.append(shown) }
        }
        return (names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }, illegible.sorted())
    }

    /// - Parameter root: the folder in which the file must be, links resolved: one on the way to it may have been put there
    ///   since it was looked at.
    /// - Throws: `unreadable`, also for more than `limit` bytes.
    static func read(
        _ path: String, limit: Int, followsLinks: Bool = true, within root: String? = nil
    ) throws(RetrievalError) -> [UInt8] {
        // Without blocking: a pipe that nobody writes to would be waited for.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW))
        guard file >= 0 else { throw failure("cannot open", path) }
        defer { close(file) }
        // Where the kernel does not say, the path was looked at beforehand.
        if let root, let place = resolved("/proc/self/fd/\(file)"), !lies(place, in: root) {
            throw RetrievalError(.unreadable, "\(path) leads out of the folder")
        }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw failure("cannot read", path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw RetrievalError(.unreadable, "\(path) is not a file")
        }
        guard status.st_size <= limit else {
            throw RetrievalError(.unreadable, "\(path) has \(status.st_size) bytes; at most \(limit) are read")
        }
        let size = Int(status.st_size)
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
            while filled < size, let base = buffer.baseAddress {
                let count = Glibc.read(file, base + filled, size - filled)
                if count < 0, errno == EINTR { continue }
                if count <= 0 {
                    failed = count < 0
                    return
                }
                filled += count
            }
        }
        guard !failed else { throw failure("cannot read", path) }
        return bytes
    }

    /// The first bytes of a file, as many as there are of `count`.
    static func beginning(of path: String, _ count: Int) throws(RetrievalError) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw failure("cannot open", path) }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: count)
        let filled = Glibc.read(file, &bytes, count)
        guard filled >= 0 else { throw failure("cannot read", path) }
        return Array(bytes.prefix(filled))
    }

    /// Where a path leads, links followed; nil when it leads nowhere.
    static func resolved(_ path: String) -> String? {
        guard let text = realpath(path, nil) else { return nil }
        defer { free(text) }
        return String(cString: text)
    }

    static func joined(_ folder: String, _ name: String) -> String {
        folder.hasSuffix("/") || folder.isEmpty ? folder + name : "\(folder)/\(name)"
    }

    /// The deepest folder in which all of `paths` lie; nil when they have none but the root in common.
    static func commonFolder(of paths: [String]) -> String? {
        guard var common = paths.first?.split(separator: "/").dropLast() else { return nil }
        for path in paths.dropFirst() {
            let parts = path.split(separator: "/").dropLast()
            common = common.prefix(zip(common, parts).prefix { $0 == $1 }.count)
        }
        return common.isEmpty ? nil : common.map { "/" + $0 }.joined()
    }

    /// What to put in front of names in `folder` to have them relative to `root`, in which it lies.
    static func relative(_ folder: String, to root: String) -> String {
        guard lies(folder, in: root) else { return "" }
        return folder.dropFirst(root.count).drop { $0 == "/" } + "/"
    }

    /// - Parameter root: a folder.
    static func lies(_ path: String, in root: String) -> Bool {
        path.hasPrefix(root.hasSuffix("/") ? root : root + "/")
    }

    /// Runs `body` while no other process does so for a file in the same folder; waits for one that does.
    static func exclusively<T>(in folder: String, _ body: () throws(RetrievalError) -> T) throws(RetrievalError) -> T {
        try makeFolder(folder)
        // The folder itself is locked: a file beside the index would stay there for ever.
        let handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw failure("cannot open", folder) }
        defer { close(handle) }
        // File systems that know no locks refuse; then the last one wins, as if there were no other.
        while flock(handle, LOCK_EX) != 0, errno == EINTR {}
        return try body()
    }

    /// Puts `bytes` at `path` whole or not at all: written to a temporary file beside it, flushed to disk, renamed.
    /// Folders that are missing are made.
    static func write(_ bytes: [UInt8], to path: String) throws(RetrievalError) {
        let folder = self.folder(of: path)
        try makeFolder(folder)
        var template = Array("\(path).XXXXXX".utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { throw failure("cannot write beside", path) }
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        let temporary = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        do throws(RetrievalError) {
            defer { close(file) }
            var done = 0
            while done < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Glibc.write(file, $0.baseAddress?.advanced(by: done), $0.count - done)
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw failure("cannot write", temporary) }
                done += count
            }
            // What documents say is its owner's; a group that was let in before stays in.
            var old = stat()
            let group = stat(path, &old) == 0 ? old.st_mode & 0o060 : 0
            guard fchmod(file, 0o600 | group) == 0, fsync(file) == 0 else { throw failure("cannot write", temporary) }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let error = failure("cannot replace", path)
            unlink(temporary)
            throw error
        }
        // The rename itself survives a power cut once the folder is flushed; where that is refused, it is only later.
        let handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if handle >= 0 {
            fsync(handle)
            close(handle)
        }
    }

    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func makeFolder(_ path: String) throws(RetrievalError) {
        if FileStamp(path: path)?.isDirectory == true { return }
        let parent = folder(of: path)
        if parent != path { try makeFolder(parent) }
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw failure("cannot make the folder", path) }
    }

    private static func failure(_ what: String, _ path: String) -> RetrievalError {
        RetrievalError(.unreadable, "\(what) \(path): \(String(cString: strerror(errno)))")
    }
}
