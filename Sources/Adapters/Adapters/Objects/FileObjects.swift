import ChatJobs
import Glibc
import Pipeline
import Synchronization

/// Objects as files in a folder: `objects.url: file:DIR`. For one machine, or a file system that all share.
package struct FileObjects: ObjectStore {
    let address: ObjectAddress
    let folder: String
    private let tidied = Shared()

    /// When old answers were last looked for.
    private final class Shared: Sendable { let next = Mutex(ContinuousClock.now) }

    package init(_ address: ObjectAddress, folder: String) {
        self.address = address
        self.folder = folder
    }

    package func keep(_ bytes: [UInt8], as name: String) async throws(ObjectFailure) -> String {
        try await offTheLoop { () throws(ObjectFailure) in
            try write(bytes, name)
            tidy()
        }
        return address.url(name)
    }

    package func read(_ url: String, limit: Int) async throws(ObjectFailure) -> [UInt8] {
        guard let name = address.name(of: url) else {
            throw .absent("body_ref names what is not in objects.url: only that is read")
        }
        return try await offTheLoop { () throws(ObjectFailure) in try contents(name, limit) }
    }

    // MARK: - Files

    private func away(_ what: String) -> ObjectFailure {
        .away("objects.url: \(what): \(String(cString: strerror(errno)))")
    }

    /// Beside its place first: whoever sees a name sees all of it.
    private func write(_ bytes: [UInt8], _ name: String) throws(ObjectFailure) {
        let path = "\(folder)/\(name)"
        var status = stat()
        if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size == bytes.count { return }
        try makeFolders(of: path)
        let draft = "\(path).\(UInt64.random(in: 0...UInt64.max))"
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw away("the file \(draft) cannot be made") }
        defer { close(file) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                Glibc.write(file, bytes.baseAddress?.advanced(by: written), bytes.count - written)
            }
            guard count > 0 || errno == EINTR else {
                unlink(draft)
                throw away("the file \(draft) cannot be written")
            }
            written += max(0, count)
        }
        guard fsync(file) == 0, rename(draft, path) == 0 else {
            unlink(draft)
            throw away("the file \(path) cannot be written")
        }
    }

    private func makeFolders(of path: String) throws(ObjectFailure) {
        var made = ""
        for part in path.split(separator: "/").dropLast() {
            made += "/\(part)"
            guard mkdir(made, 0o755) == 0 || errno == EEXIST || access(made, F_OK) == 0 else {
                throw away("the folder \(made) cannot be made")
            }
        }
    }

    /// No link is followed on the way down from the folder, so that nothing outside of it is read.
    private func contents(_ name: String, _ limit: Int) throws(ObjectFailure) -> [UInt8] {
        var place = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard place >= 0 else { throw away("the folder \(folder) cannot be read") }
        defer { close(place) }
        let parts = name.split(separator: "/").map(String.init)
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            let next = openat(
                place, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (isLast ? 0 : O_DIRECTORY))
            guard next >= 0 else {
                guard [ENOENT, ENOTDIR, ELOOP, EACCES].contains(errno) else { throw away("an object cannot be read") }
                throw .absent("the object of body_ref is not there: it was deleted, or never kept")
            }
            close(place)
            place = next
        }
        var status = stat()
        guard fstat(place, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .absent("the object of body_ref is not there: it was deleted, or never kept")
        }
        guard status.st_size <= limit else {
            throw .absent("the object of body_ref has \(status.st_size) bytes and not \(limit)")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var count = 0
        while count < bytes.count {
            let more = bytes.withUnsafeMutableBytes { bytes in
                Glibc.read(place, bytes.baseAddress?.advanced(by: count), bytes.count - count)
            }
            if more == 0 { break }
            guard more > 0 || errno == EINTR else { throw away("an object cannot be read") }
            count += max(0, more)
        }
        return Array(bytes.prefix(count))
    }

    // MARK: - Old answers

    /// Deletes the answers of days that are over, once an hour: nobody else does.
    private func tidy() {
        let isDue = tidied.next.withLock { next in
            guard .now >= next else { return false }
            next = .now + .seconds(3600)
            return true
        }
        guard isDue, let days = opendir("\(folder)/answers") else { return }
        defer { closedir(days) }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let today = Timestamp(milliseconds: Int64(now.tv_sec) * 1000).rfc3339.prefix(10)
        while let entry = readdir(days) {
            let day = Self.name(entry)
            guard day.utf8.count == 10, day.split(separator: "-").map(\.utf8.count) == [4, 2, 2], day < today else {
                continue
            }
            delete("\(folder)/answers/\(day)")
        }
    }

    /// A link that somebody put there is not followed.
    private func delete(_ day: String) {
        let place = open(day, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard place >= 0 else { return }
        guard let files = fdopendir(place) else {
            close(place)
            return
        }
        while let entry = readdir(files) {
            let name = Self.name(entry)
            if name != ".", name != ".." { unlinkat(place, name, 0) }
        }
        closedir(files)
        rmdir(day)
    }

    private static func name(_ entry: UnsafeMutablePointer<dirent>) -> String {
        withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// What is wrong with the folder; nil when it can be used, or made.
    package func trouble() -> String? {
        var place = folder
        while place.utf8.count > 1, access(place, F_OK) != 0 {
            place = String(place[..<(place.lastIndex(of: "/") ?? place.startIndex)])
        }
        var status = stat()
        if stat(place.isEmpty ? "/" : place, &status) == 0, status.st_mode & S_IFMT != S_IFDIR {
            return "\(place) is no folder; a folder is needed"
        }
        guard access(place.isEmpty ? "/" : place, W_OK) == 0 else {
            return "\(place) cannot be written: \(String(cString: strerror(errno)))"
        }
        return nil
    }
}
