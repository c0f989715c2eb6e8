/// The fields of a head as libcurl hands it over, status line and final blank line included.
func parseHeaders(_ bytes: [UInt8]) -> [HTTPHeader] {
    var headers: [HTTPHeader] = []
    headers.reserveCapacity(12)
    let blank: (UInt8) -> Bool = { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
    bytes.withUnsafeBufferPointer { bytes in
        var start = (bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count - 1) + 1
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            var line = bytes[start..<end]
            start = end + 1
            while let last = line.last, blank(last) { line = line.dropLast() }
            guard let first = line.first else { continue }
            if blank(first), let previous = headers.indices.last {
                // Obsolete folding: the line continues the value before it.
                headers[previous].value += " " + String(decoding: line.drop(while: blank), as: UTF8.self)
            } else if let colon = line.firstIndex(of: UInt8(ascii: ":")) {
                headers.append(
                    HTTPHeader(
                        name: String(decoding: line[..<colon], as: UTF8.self),
                        value: String(decoding: line[(colon + 1)...].drop(while: blank), as: UTF8.self)))
            }
        }
    }
    return headers
}
