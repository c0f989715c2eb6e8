import CZstd
import Synchronization

/// Zstandard (RFC 8878) with a dictionary: what many small texts have in common need not be in any of them.
package final class Zstd: Sendable {
    // Unsafe, because a pointer is not Sendable: both are only read after `init` (zstd's manual, "Bulk processing dictionary
    // API": "ZSTD_CDict can be created once and shared by multiple threads concurrently"), until `deinit`.
    private nonisolated(unsafe) let compression: OpaquePointer
    private nonisolated(unsafe) let decompression: OpaquePointer
    private let contexts: Mutex<Contexts>

    /// What one call at a time works in. Made once: to make them costs more than a small text.
    private struct Contexts: @unchecked Sendable {
        // Used by whoever holds the mutex, by nobody else.
        let compression: OpaquePointer
        let decompression: OpaquePointer
    }

    /// - Parameters:
    ///   - dictionary: as `zstd --train` makes it. A text compressed with another one cannot be read.
    ///   - level: 1 to 19.
    /// - Returns: nil when there is no memory, or the bytes are no dictionary.
    package init?(dictionary: [UInt8], level: Int32) {
        guard let compression = ZSTD_createCDict(dictionary, dictionary.count, level) else { return nil }
        guard let decompression = ZSTD_createDDict(dictionary, dictionary.count),
            let compressing = ZSTD_createCCtx(), let decompressing = ZSTD_createDCtx()
        else {
            // The others are gone with the process: it is out of memory.
            ZSTD_freeCDict(compression)
            return nil
        }
        self.compression = compression
        self.decompression = decompression
        contexts = Mutex(Contexts(compression: compressing, decompression: decompressing))
    }

    deinit {
        ZSTD_freeCDict(compression)
        ZSTD_freeDDict(decompression)
        contexts.withLock {
            ZSTD_freeCCtx($0.compression)
            ZSTD_freeDCtx($0.decompression)
        }
    }

    /// Nil when there is no memory.
    package func compress(_ bytes: [UInt8]) -> [UInt8]? {
        let bound = ZSTD_compressBound(bytes.count)
        guard ZSTD_isError(bound) == 0 else { return nil }
        var size = 0
        let output = [UInt8](unsafeUninitializedCapacity: bound) { output, count in
            size = contexts.withLock {
                ZSTD_compress_usingCDict(
                    $0.compression, output.baseAddress, output.count, bytes, bytes.count, compression)
            }
            if ZSTD_isError(size) == 0 { count = size }
        }
        return ZSTD_isError(size) == 0 ? output : nil
    }

    /// Nil when the bytes are not what ``compress(_:)`` gave, or what they hold is larger than `limit`: that is known before
    /// anything is unpacked.
    package func decompress(_ bytes: [UInt8], limit: Int) -> [UInt8]? {
        // Two values stand for "not said" and "no frame"; both are larger than any limit.
        let said = ZSTD_getFrameContentSize(bytes, bytes.count)
        guard said <= UInt64(clamping: limit) else { return nil }
        var size = 0
        let output = [UInt8](unsafeUninitializedCapacity: Int(said)) { output, count in
            size = contexts.withLock {
                ZSTD_decompress_usingDDict(
                    $0.decompression, output.baseAddress, output.count, bytes, bytes.count, decompression)
            }
            if ZSTD_isError(size) == 0 { count = size }
        }
        return ZSTD_isError(size) == 0 && size == said ? output : nil
    }
}
