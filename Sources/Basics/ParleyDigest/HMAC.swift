import CCrypto

/// HMAC with SHA-256 (RFC 2104).
package enum HMAC {
    private static let block = 64

    /// 64 lower-case hexadecimal digits; nil when OpenSSL has no SHA-256 to give.
    package static func hex(of bytes: [UInt8], key: [UInt8]) -> String? { digest(of: bytes, key: key)?.hex }

    /// Nil when OpenSSL has no SHA-256 to give.
    package static func digest(of bytes: [UInt8], key: [UInt8]) -> [UInt8]? {
        var key = key
        if key.count > block {
            guard let digest = digest([key]) else { return nil }
            key = digest
        }
        key += [UInt8](repeating: 0, count: block - key.count)
        guard let inner = digest([key.map { $0 ^ 0x36 }, bytes]) else { return nil }
        return digest([key.map { $0 ^ 0x5C }, inner])
    }

    private static func digest(_ parts: [[UInt8]]) -> [UInt8]? {
        guard let digest = SHA256() else { return nil }
        for part in parts { part.withUnsafeBytes { digest.update($0) } }
        return digest.finish()
    }
}
