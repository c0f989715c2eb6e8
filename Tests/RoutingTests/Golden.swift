import Glibc
import ParleyJSON
import Testing

/// The checkout's folder.
let checkout = String(#filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 })

func bytes(of path: String) throws -> [UInt8] {
    let file = try #require(fopen("\(checkout)/\(path)", "r"), "\(path) cannot be read")
    defer { fclose(file) }
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        if count == 0 { return result }
        result += buffer[..<count]
    }
}

func lines(of path: String) throws -> [JSONElement] {
    try bytes(of: path).split(separator: UInt8(ascii: "\n")).map { try JSONDocument(Array($0)).root }
}
