import ChatJobs
import Glibc
import ParleyHTTP
import Pipeline
import TestSupport
import Testing

@testable import Adapters

/// `objects.url`: only what is in the configured store is ever read.
@Suite struct ObjectTests {
    @Test func anAddressNamesAFolderOrABucket() throws {
        #expect(try ObjectAddress("file:/srv/objects/").place == .folder("/srv/objects"))
        #expect(try ObjectAddress("file:///srv/objects").place == .folder("/srv/objects"))
        #expect(
            try ObjectAddress("s3+https://s3.example.com/parley/").place == .bucket("https://s3.example.com/parley"))
        #expect(try ObjectAddress("s3+http://127.0.0.1:9000/b").place == .bucket("http://127.0.0.1:9000/b"))
        guard case .folder(let path) = try ObjectAddress("file:objects").place else {
            return #expect(Bool(false), "no folder")
        }
        #expect(path.hasPrefix("/") && path.hasSuffix("/objects"))
    }

    @Test(
        arguments: [
            "", "file:", "file:/", "/srv/objects", "https://host/bucket", "s3+https://host", "s3+https://host/",
            "s3+http://s3.example.com/bucket", "s3+http://127.0.0.1.example.com/bucket",
            "s3+https://user:pw@host/bucket",
            "s3+https://host/bucket?x=1", "s3+https://host/../bucket", "s3+ftp://host/bucket",
        ])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(throws: ObjectAddress.Refusal.self) { try ObjectAddress(text) }
    }

    @Test func aNameIsThatOfTheConfiguredStore() throws {
        let bucket = try ObjectAddress("s3+https://host/bucket")
        #expect(bucket.url("a/b.txt") == "s3+https://host/bucket/a/b.txt")
        #expect(bucket.name(of: "s3+https://host/bucket/a/b.txt") == "a/b.txt")
        #expect(bucket.name(of: "https://host/bucket/a-b_c~1.txt") == "a-b_c~1.txt")
        for url in [
            "s3+https://host/bucket2/a", "s3+https://host/bucket", "s3+https://host/bucket/", "https://evil/bucket/a",
            "s3+https://host/bucket/../other/a", "s3+https://host/bucket/a/../../b", "s3+https://host/bucket/a//b",
            "s3+https://host/bucket/a?x", "s3+https://host/bucket/a#x", "s3+https://host/bucket/%2e%2e/a",
            "s3+https://host/bucket/a b", "s3+https://host/bucket/a\u{0}", "file:/etc/passwd", "http://host/bucket/a",
            "s3+https://host/bucket/\\a", "s3+https://host/bucket/[a]",
            "s3+https://host/bucket/" + String(repeating: "a", count: 600),
        ] { #expect(bucket.name(of: url) == nil, "\(url)") }
        let folder = try ObjectAddress("file:/srv/objects")
        #expect(folder.url("a") == "file:/srv/objects/a")
        #expect(folder.name(of: "file:///srv/objects/a") == "a")
        #expect(folder.name(of: "file:/srv/objects/../secret") == nil)
        #expect(folder.name(of: "file:/srv/objects2/a") == nil)
    }

    /// Amazon S3 API Reference, "Example: GET Object".
    @Test func requestsAreSignedAsAmazonsExampleIs() throws {
        let signature = RequestSignature(
            region: "us-east-1", accessKey: "AKIAIOSFODNN7EXAMPLE",
            secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", sessionToken: nil)
        let headers = signature.headers(
            "GET", host: "examplebucket.s3.amazonaws.com", path: "/test.txt", [HTTPHeader("range", "bytes=0-9")],
            body: [], at: try #require(Timestamp("2013-05-24T00:00:00Z")))
        #expect(
            headers?.first(named: "authorization")
                == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        )
    }

    private func store(_ folder: Folder) throws -> FileObjects {
        FileObjects(try ObjectAddress("file:\(folder.path)"), folder: folder.path)
    }

    @Test func aFileIsKeptAndRead() async throws {
        let folder = try Folder()
        let store = try store(folder)
        let url = try await store.keep(Array("hello".utf8), as: "answers/2199-01-01/x.txt")
        #expect(url == "file:\(folder.path)/answers/2199-01-01/x.txt")
        #expect(folder.read("answers/2199-01-01/x.txt") == "hello")
        #expect(try await store.keep(Array("hello".utf8), as: "answers/2199-01-01/x.txt") == url)
        #expect(try await store.read(url, limit: 5) == Array("hello".utf8))
        await #expect(throws: ObjectFailure.self) { try await store.read(url, limit: 4) }
        // One that was cut short is written again.
        try folder.write("answers/2199-01-01/x.txt", "he")
        _ = try await store.keep(Array("hello".utf8), as: "answers/2199-01-01/x.txt")
        #expect(folder.read("answers/2199-01-01/x.txt") == "hello")
    }

    @Test func noLinkLeadsOutOfTheFolder() async throws {
        let (folder, other) = (try Folder(), try Folder())
        try other.write("secret", "s")
        symlink("\(other.path)/secret", "\(folder.path)/link")
        symlink(other.path, "\(folder.path)/down")
        mkdir("\(folder.path)/sub", 0o700)
        mkfifo("\(folder.path)/pipe", 0o600)
        let store = try store(folder)
        for name in ["link", "down/secret", "nothing", "sub", "pipe", "link/x"] {
            do throws(ObjectFailure) {
                _ = try await store.read("file:\(folder.path)/\(name)", limit: 100)
                Issue.record("\(name) was read")
            } catch {
                guard case .absent = error else {
                    Issue.record("\(name): \(error)")
                    continue
                }
            }
        }
    }

    @Test func answersOfDaysThatAreOverAreDeleted() async throws {
        let folder = try Folder()
        for path in ["answers", "answers/2001-02-03", "answers/kept"] { mkdir("\(folder.path)/\(path)", 0o700) }
        try folder.write("answers/2001-02-03/old.txt", "o")
        try folder.write("answers/kept/old.txt", "o")
        let other = try Folder()
        try other.write("precious", "p")
        symlink(other.path, "\(folder.path)/answers/2002-02-03")
        _ = try await store(folder).keep([1], as: "answers/2199-01-01/x.txt")
        #expect(other.read("precious") == "p", "behind a link")
        #expect(access("\(folder.path)/answers/2001-02-03", F_OK) != 0)
        #expect(folder.read("answers/kept/old.txt") == "o")
    }

    @Test func aFolderThatCannotBeMadeIsAway() async throws {
        let folder = try Folder()
        try folder.write("file", "x")
        let store = FileObjects(try ObjectAddress("file:\(folder.path)/file/deep"), folder: "\(folder.path)/file/deep")
        await #expect(throws: ObjectFailure.self) { try await store.keep([1], as: "a") }
        #expect(store.trouble()?.contains("is no folder") == true)
        #expect(try self.store(folder).trouble() == nil)
    }
}
