import Foundation
import Testing

@testable import ParleySettings

/// `objects.*` and whose keys they take.
@Suite struct ObjectSettingsTests {
    private let bucket = (key: "objects.url", value: "s3+https://host/bucket")
    private let keys = [
        "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-central-1",
    ]

    private func load(
        _ environment: [String: String] = [:], _ overrides: [(key: String, value: String)], defaultFile: String = "none"
    ) async throws -> Settings {
        try await Settings.load(
            file: nil, environment: environment, overrides: overrides, defaultFile: defaultFile)
    }

    @Test func theUsualVariablesServe() async throws {
        let objects = try await load(keys, [bucket]).objects
        #expect(objects.accessKey == "id" && objects.secretKey == "secret" && objects.sessionToken == "token")
        #expect(objects.region == "eu-central-1")
        #expect("\(objects)" == "s3+https://host/bucket")
    }

    @Test func keysOfItsOwnGoFirst() async throws {
        let objects = try await load(
            keys, [bucket, ("objects.access_key", "a"), ("objects.secret_key", "b"), ("objects.region", "here")]
        ).objects
        #expect(objects.accessKey == "a" && objects.secretKey == "b" && objects.sessionToken == nil)
        #expect(objects.region == "here")
    }

    @Test func aBucketNeedsAKeyAndAFolderNone() async throws {
        await #expect(throws: SettingsError.self) { try await load([:], [bucket]) }
        await #expect(throws: SettingsError.self) { try await load([:], [bucket, ("objects.access_key", "a")]) }
        #expect(try await load([:], [("objects.url", "file:objects")]).objects.url == "file:objects")
        #expect(try await load([:], [("reply.max_inline", "1KiB")]).replyMaxInline == 1024)
    }

    @Test func aFileThatOnlyLiesThereGetsNoKey() async throws {
        let file = NSTemporaryDirectory() + "parley-objects-\(UUID().uuidString).yaml"
        try Data("objects: {url: \"s3+https://host/bucket\"}".utf8).write(to: URL(filePath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        do {
            _ = try await load(keys, [], defaultFile: file)
            Issue.record("the key was given away")
        } catch { #expect("\(error)".contains("lies in the working folder")) }
    }
}
