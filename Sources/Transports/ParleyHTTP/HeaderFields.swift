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

/// The value of the first field called `name` in a head; the others, which are most, are not made.
func parseHeader(_ name: String, in bytes: [UInt8]) -> String? {
    let length = name.utf8.count
    var start = (bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count - 1) + 1
    while start + length < bytes.count {
        let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        if bytes[start + length] == UInt8(ascii: ":"),
            zip(bytes[start...], name.utf8).allSatisfy({ lowercased($0) == lowercased($1) })
        {
            // The next line may continue it.
            let isFolded = end + 1 < bytes.count && (bytes[end + 1] == 0x20 || bytes[end + 1] == 0x09)
            guard !isFolded else { return parseHeaders(bytes).first(named: name) }
            var value = bytes[(start + length + 1)..<max(start + length + 1, end)].drop { $0 == 0x20 || $0 == 0x09 }
            while let last = value.last, last == 0x20 || last == 0x09 || last == 0x0D { value = value.dropLast() }
            return String(decoding: value, as: UTF8.self)
        }
        start = end + 1
    }
    return nil
}
