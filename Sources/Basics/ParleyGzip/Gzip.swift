import CZlib

/// Why bytes could not be decompressed.
package enum GzipError: Error, Equatable, Sendable {
    /// The bytes are no gzip stream, or it is damaged or cut short.
    case malformed
    /// The contents are longer than the limit.
    case exceedsLimit
}

/// Undoes gzip (RFC 1952), and zlib (RFC 1950), which some clients call gzip (kombu does), giving at most `limit` bytes: a small
/// message that claims to be gigabytes costs `limit` bytes of memory and is refused.
package func gunzip(_ bytes: [UInt8], limit: Int) throws(GzipError) -> [UInt8] {
    var stream = z_stream()
    // 32 takes either wrapper as it finds it, 15 is the largest window (zlib manual, inflateInit2).
    guard inflateInit2_(&stream, 32 + 15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        throw .malformed
    }
    defer { inflateEnd(&stream) }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: min(limit + 1, 65_536))
    var input = bytes
    let outcome: GzipError? = input.withUnsafeMutableBufferPointer { input in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(clamping: input.count)
        while true {
            var status = Z_OK
            let produced = buffer.withUnsafeMutableBufferPointer { buffer in
                stream.next_out = buffer.baseAddress
                stream.avail_out = UInt32(buffer.count)
                status = inflate(&stream, Z_NO_FLUSH)
                return buffer.count - Int(stream.avail_out)
            }
            guard output.count + produced <= limit else { return .exceedsLimit }
            output += buffer[..<produced]
            switch status {
            case Z_STREAM_END:
                // A gzip file may be several members in a row (RFC 1952, section 2.2).
                guard stream.avail_in > 0 else { return nil }
                guard inflateReset(&stream) == Z_OK else { return .malformed }
            case Z_OK:
                if produced == 0, stream.avail_in == 0 { return .malformed }
            default: return .malformed
            }
        }
    }
    if let outcome { throw outcome }
    return output
}
