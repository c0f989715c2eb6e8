import Glibc
import ParleyHTTP
import ParleyPrimitives

/// `objects.url`, and the URLs of what is kept there: the address, a slash and a name.
package struct ObjectAddress: Sendable, Equatable {
    package enum Place: Sendable, Equatable {
        /// An absolute path.
        case folder(String)
        /// The bucket's own URL.
        case bucket(String)
    }

    package let place: Place
    /// What references to its objects begin with, the slash included: the first of them is what replies have.
    private let beginnings: [String]

    /// Without the slash.
    package var location: String { String(beginnings[0].dropLast()) }

    /// Why an address is refused: what is allowed.
    package struct Refusal: Error { package let text: String }

    package init(_ text: String) throws(Refusal) {
        if text.hasPrefix("file:") {
            var path = String(text.dropFirst("file:".count))
            if path.hasPrefix("//") { path = String(path.dropFirst(2)) }
            while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
            guard !path.isEmpty, path != "/" else { throw Refusal(text: "file:DIR has to name a folder") }
            if !path.hasPrefix("/") {
                guard let here = getcwd(nil, 0) else { throw Refusal(text: "the working folder is gone") }
                defer { free(here) }
                path = String(cString: here) + "/" + path
            }
            place = .folder(path)
            beginnings = ["file:\(path)/", "file://\(path)/"]
            return
        }
        guard text.hasPrefix("s3+http") else {
            throw Refusal(text: "allowed: s3+https://host/bucket, file:DIR")
        }
        var address = String(text.dropFirst("s3+".count))
        while address.hasSuffix("/") { address.removeLast() }
        do throws(HTTPError) {
            let url = try HTTPURL(address)
            let path = address.dropFirst(url.scheme.count + 3).drop { $0 != "/" }.dropFirst()
            guard !path.isEmpty, Self.isName(path), !address.contains("@") else {
                throw HTTPError(code: .invalidURL, message: "a bucket is needed: s3+https://host/bucket")
            }
            guard url.isSecure || Self.isLoopback(url.host) else {
                throw HTTPError(code: .invalidURL, message: "s3+http is for loopback alone: s3+https://host/bucket")
            }
        } catch {
            throw Refusal(text: error.message)
        }
        place = .bucket(address)
        beginnings = ["s3+\(address)/", "\(address)/"]
    }

    private static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "[::1]"
            || host.hasPrefix("127.") && host.utf8.allSatisfy { $0 < UInt8(ascii: ":") && $0 != UInt8(ascii: "-") }
    }

    /// The URL of what is kept under the name.
    func url(_ name: String) -> String { beginnings[0] + name }

    /// The name of an object of this store; nil when the URL is of anything else. Names go down only, and need no escaping.
    package func name(of url: String) -> String? {
        guard let beginning = beginnings.first(where: { url.hasPrefix($0) }) else { return nil }
        let name = url.dropFirst(beginning.count)
        return Self.isName(name) ? String(name) : nil
    }

    private static func isName(_ text: Substring) -> Bool {
        guard text.utf8.count <= 512 else { return false }
        return text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty && part != "." && part != ".."
                && part.utf8.allSatisfy { byte in
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) && byte != 0x5B
                        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || ".-_~".utf8.contains(byte)
                }
        }
    }
}
