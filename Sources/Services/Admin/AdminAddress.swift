/// Where health and metrics are served; `admin.listen` in the configuration.
package struct AdminAddress: Sendable, Hashable, CustomStringConvertible {
    /// A host and a port, a Unix socket, or nowhere.
    enum Value: Sendable, Hashable {
        case off
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    let value: Value

    /// Nothing is served.
    package static let off = AdminAddress(value: .off)

    /// - Parameters:
    ///   - host: a name, an IPv4 or an IPv6 address (without brackets).
    ///   - port: 0…65535; 0 lets the kernel choose a free one.
    package static func tcp(host: String, port: Int) -> AdminAddress {
        AdminAddress(value: .tcp(host: host, port: port))
    }

    /// - Parameter path: absolute.
    package static func unix(path: String) -> AdminAddress { AdminAddress(value: .unix(path: path)) }

    private init(value: Value) { self.value = value }

    /// Reads `off`, `unix:/PATH`, `HOST:PORT`, `[IPv6]:PORT`, or `:PORT` for all IPv4 interfaces (`[::]:PORT` takes IPv6 too).
    package init(parsing text: String) throws(AdminError) {
        if text == "off" {
            value = .off
            return
        }
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard path.hasPrefix("/"), !path.hasSuffix("/"), !path.utf8.contains(0), SocketFile(path).isShortEnough
            else {
                throw .invalidAddress(text)
            }
            value = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":") else { throw .invalidAddress(text) }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(digits),
            port <= 65535, let host = Self.host(text[..<colon])
        else { throw .invalidAddress(text) }
        value = .tcp(host: host, port: port)
    }

    private static func host(_ text: Substring) -> String? {
        if text.isEmpty { return "0.0.0.0" }
        if text.hasPrefix("["), text.hasSuffix("]") {
            let inside = text.dropFirst().dropLast()
            let isIPv6 =
                inside.contains(":")
                && inside.utf8.allSatisfy {
                    switch $0 {
                    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                        UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: ":"), UInt8(ascii: "."):
                        true
                    default: false
                    }
                }
            return isIPv6 ? String(inside) : nil
        }
        let isName = text.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        return isName ? String(text) : nil
    }

    /// As `init(parsing:)` reads it.
    package var description: String {
        switch value {
        case .off: "off"
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}
