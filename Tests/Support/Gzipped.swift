import CZlib

/// `bytes` as another system would send them with `content_encoding: gzip`.
package func gzipped(_ bytes: [UInt8]) throws -> [UInt8] {
    var stream = z_stream()
    // 16 above the window's bits asks for gzip instead of zlib (zlib.h, deflateInit2).
    guard
        deflateInit2_(
            &stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { throw Failure("zlib does not start") }
    defer { deflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, uLong(bytes.count))))
    let status = input.withUnsafeMutableBufferPointer { source in
        output.withUnsafeMutableBufferPointer { target in
            stream.next_in = source.baseAddress
            stream.avail_in = uInt(source.count)
            stream.next_out = target.baseAddress
            stream.avail_out = uInt(target.count)
            return deflate(&stream, Z_FINISH)
        }
    }
    guard status == Z_STREAM_END else { throw Failure("zlib does not finish") }
    return Array(output.prefix(Int(stream.total_out)))
}
