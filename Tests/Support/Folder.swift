import Glibc

/// A folder that is removed when the value goes.
package final class Folder: Sendable {
    package let path: String

    package init() throws {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/parley-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("no temporary folder in \(parent)") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { _ = system("rm -rf '\(path)'") }

    package func write(_ name: String, _ text: String) throws {
        guard let file = fopen("\(path)/\(name)", "w") else { throw Failure("\(name) cannot be written") }
        defer { fclose(file) }
        guard fputs(text, file) >= 0 else { throw Failure("\(name) cannot be written") }
    }

    package func remove(_ name: String) { unlink("\(path)/\(name)") }

    /// What the file holds so far; empty when there is none.
    package func read(_ name: String) -> String {
        guard let file = fopen("\(path)/\(name)", "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A path inside the checkout.
package func checkout(_ path: String) -> String {
    let root = #filePath.split(separator: "/").dropLast(3)
    return "/" + root.joined(separator: "/") + "/" + path
}

/// Letters and digits that no other test has.
package func unique() -> String { String(UInt64.random(in: 1 << 60...UInt64.max), radix: 36) }
