import CCrypto

/// SHA-256 (FIPS 180-4) of bytes that come piece by piece, by OpenSSL.
package final class SHA256 {
    private let context: OpaquePointer

    /// Nil when OpenSSL has no SHA-256 to give: it is out of memory, or its configuration forbids it.
    package init?() {
        guard let context = EVP_MD_CTX_new() else { return nil }
        self.context = context
        guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else { return nil }
    }

    deinit { EVP_MD_CTX_free(context) }

    package func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

    /// The digest of all that came. To be called once, last.
    package func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var size: UInt32 = 0
        EVP_DigestFinal_ex(context, &digest, &size)
        return Array(digest.prefix(Int(size)))
    }

    /// The digest of `bytes` as 64 lower-case hexadecimal digits.
    package static func hex(of bytes: some Collection<UInt8>) -> String? {
        guard let digest = SHA256() else { return nil }
        Array(bytes).withUnsafeBytes { digest.update($0) }
        return digest.finish().hex
    }
}

extension Sequence<UInt8> {
    /// Two lower-case hexadecimal digits for each byte.
    package var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
