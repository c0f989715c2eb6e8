import Glibc

/// Which configuration file is read, and whether it is trusted.
struct SettingsFile {
    let path: String
    /// Nobody named it: it lies in the working folder. Then it must be the user's own, and its hosts get no key from
    /// `OPENAI_API_KEY` (contract, section 7): whoever unpacks an archive and runs a command there would else hand the key
    /// to whatever host the archive names.
    let isFound: Bool

    /// Nil when there is none.
    init?(named: String?, environment: [String: String], default path: String) {
        if let path = named ?? environment["PARLEY_CONFIG"] {
            (self.path, isFound) = (path, false)
        } else {
            var status = stat()
            guard lstat(path, &status) == 0 else { return nil }
            (self.path, isFound) = (path, true)
        }
    }

    /// Why a found file is not used; nil when it is.
    var distrust: String? {
        guard isFound else { return nil }
        var status = stat()
        var target = stat()
        guard lstat(path, &status) == 0, stat(path, &target) == 0 else { return nil }
        let mend = "name it with --config or PARLEY_CONFIG if you trust it"
        for entry in [status, target] where entry.st_uid != geteuid() {
            return
                "the file \(path) lies in the working folder and belongs to another user (uid \(entry.st_uid)): it is not used; \(mend)"
        }
        guard target.st_mode & 0o022 == 0 else {
            return
                "the file \(path) lies in the working folder and others may write it: it is not used; run chmod go-w \(path), or \(mend)"
        }
        return nil
    }
}

/// Reads whole files of a configuration.
package enum FileText {
    /// - Throws: the reason, in words.
    static func read(_ path: String, limit: Int) throws(Reason) -> String {
        guard let text = String(validating: try bytes(path, limit: limit), as: UTF8.self) else {
            throw Reason(text: "it is not UTF-8")
        }
        return text
    }

    /// - Throws: the reason, in words.
    package static func bytes(_ path: String, limit: Int) throws(Reason) -> [UInt8] {
        guard let file = fopen(path, "rbe") else { throw Reason(text: String(cString: strerror(errno))) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
            bytes += buffer[..<count]
            guard bytes.count <= limit else { throw Reason(text: "it has more than \(limit) bytes") }
        }
        guard ferror(file) == 0 else { throw Reason(text: String(cString: strerror(errno))) }
        return bytes
    }

    package struct Reason: Error {
        package let text: String
        package init(text: String) { self.text = text }
    }
}
