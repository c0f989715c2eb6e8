import CCrypto

/// OpenSSL's, looked for once: `EVP_sha256()` stands for a search that each digest would begin with.
///
/// Unsafe, because a pointer is not Sendable; what is behind it does not change and lives as long as the process.
private nonisolated(unsafe) let sha256 = EVP_MD_fetch(nil, "SHA256", nil)

/// SHA-256 (FIPS 180-4) of bytes that come piece by piece, by OpenSSL.
package final class SHA256 {
    private let context: OpaquePointer

    /// Nil when OpenSSL has no SHA-256 to give: it is out of memory, or its configuration forbids it.
    package init?() {
        guard let context = EVP_MD_CTX_new() else { return nil }
        self.context = context
        guard EVP_DigestInit_ex(context, sha256, nil) == 1 else { return nil }
    }

    deinit { EVP_MD_CTX_free(context) }

    package func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

    package func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The digest of all that came. To be called once, last.
    package func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var size: UInt32 = 0
        EVP_DigestFinal_ex(context, &digest, &size)
        return Array(digest.prefix(Int(size)))
    }

    /// The digest of `bytes` as 64 lower-case hexadecimal digits.
    package static func hex(of bytes: some Collection<UInt8>) -> String? { digest(of: Array(bytes))?.hex }

    /// The digest of `bytes`, in one go.
    package static func digest(of bytes: [UInt8]) -> [UInt8]? {
        var size: UInt32 = 0
        let digest = [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { digest, count in
            let isDone = bytes.withUnsafeBytes {
                EVP_Digest($0.baseAddress, $0.count, digest.baseAddress, &size, sha256, nil) == 1
            }
            count = isDone ? Int(size) : 0
        }
        return digest.isEmpty ? nil : digest
    }
}

extension [UInt8] {
    /// Two lower-case hexadecimal digits for each byte.
    package var hex: String { self[...].hex }
}

extension ArraySlice<UInt8> {
    /// Two lower-case hexadecimal digits for each byte. Not of any collection: unspecialised that is six times as much work.
    package var hex: String {
        withUnsafeBufferPointer { bytes in
            String(unsafeUninitializedCapacity: bytes.count * 2) { text in
                for (place, byte) in bytes.enumerated() {
                    text[2 * place] = Self.digit(byte >> 4)
                    text[2 * place + 1] = Self.digit(byte & 15)
                }
                return bytes.count * 2
            }
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value + (value < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10)
    }
}
