import Foundation
import ParleySettings
import Testing

/// Secrets from files, and the file that nobody named.
@Suite struct SecretsTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }

    private func file(_ name: String, _ text: String) throws -> String {
        let url = folder.appending(path: name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
        return url.path
    }

    private func load(
        file: String? = nil, _ environment: [String: String] = [:], _ overrides: [(key: String, value: String)] = []
    ) async throws -> Settings {
        try await Settings.load(
            file: file, environment: environment, overrides: overrides,
            defaultFile: folder.appending(path: "config/parley.yaml").path)
    }

    private func problems(_ body: () async throws -> Settings) async throws -> String {
        let error = await #expect(throws: SettingsError.self) { try await body() }
        return error?.description ?? ""
    }

    @Test func everySecretComesFromAFileToo() async throws {
        let settings = try await load(
            [
                "PARLEY_RABBITMQ_URL_FILE": file("a", "amqp://u:p@h\n"),
                "PARLEY_REDIS_URL_FILE": file("b", "redis://r"),
                "PARLEY_MODEL_API_KEY_FILE": file("c", "\u{20}key \r\n"), "PARLEY_VECTORS_TOKEN_FILE": file("d", "t"),
                "PARLEY_ADMIN_TOKEN_FILE": file("e", "open sesame\n"),
            ],
            [
                ("embeddings.api_key_file", file("f", "e")),
                ("secrets.letter_key_file", file("g", "0123456789abcdef\n")),
            ])
        #expect(settings.rabbitmqURL == "amqp://u:p@h" && settings.redisURL == "redis://r")
        #expect(settings.model.apiKey == "key" && settings.embeddings.apiKey == "e" && settings.vectorsToken == "t")
        #expect(settings.adminToken == "open sesame" && settings.letterKey == "0123456789abcdef")
        #expect(
            settings.secretFiles.keys.sorted() == [
                "admin.token", "embeddings.api_key", "model.api_key", "rabbitmq.url", "redis.url", "secrets.letter_key",
                "vectors.token",
            ])
    }

    @Test func passwordsMayBeBesideTheURLs() async throws {
        let path = try file("token", "eyJhbGciOi.x.y\n")
        let settings = try await load(["PARLEY_RABBITMQ_PASSWORD_FILE": path], [("redis.password", "p")])
        #expect(settings.rabbitmqPassword == "eyJhbGciOi.x.y" && settings.redisPassword == "p")
        #expect(settings.secretFiles == ["rabbitmq.password": path])
        let missing = try await problems { try await load(["PARLEY_REDIS_PASSWORD_FILE": path + ".none"]) }
        #expect(missing.contains("redis.password_file is \"\(path).none\": the file cannot be read"), "\(missing)")
    }

    @Test func flagsGoBeforeTheEnvironmentWhicheverOfTheTwoTheyHave() async throws {
        let path = try file("key", "of the file")
        let flag = try await load(["PARLEY_MODEL_API_KEY_FILE": path], [("model.api_key", "of the flag")])
        #expect(flag.model.apiKey == "of the flag")
        let other = try await load(["PARLEY_MODEL_API_KEY": "of the environment"], [("model.api_key_file", path)])
        #expect(other.model.apiKey == "of the file")
        let text = try await problems {
            try await load(["PARLEY_MODEL_API_KEY_FILE": path, "PARLEY_MODEL_API_KEY": "x"])
        }
        #expect(text.contains("model.api_key and model.api_key_file are both set"))
    }

    @Test func aSecretsFileThatCannotBeIsNamedWithoutItsText() async throws {
        for (text, says) in [("", "empty"), (" \n", "empty")] {
            let path = try file("s", text)
            #expect(try await problems { try await load(["PARLEY_REDIS_URL_FILE": path]) }.contains(says))
        }
        let missing = try await problems { try await load(["PARLEY_REDIS_URL_FILE": "/none/such"]) }
        #expect(missing.contains("redis.url_file is \"/none/such\"") && missing.contains("No such file"))
        let short = try await problems { try await load(["PARLEY_SECRETS_LETTER_KEY": "geheim"]) }
        #expect(short.contains("secrets.letter_key") && !short.contains("geheim"))
    }

    @Test func aFileThatOthersMayWriteIsNotUsedUnlessItIsNamed() async throws {
        let path = try file("config/parley.yaml", "queue:\n  name: of.the.file\n")
        chmod(path, 0o644)
        #expect(try await load().queue.name == "of.the.file")
        for mode in [0o664, 0o646, 0o666] as [mode_t] {
            chmod(path, mode)
            let text = try await problems { try await load() }
            #expect(text.contains("config/parley.yaml") && text.contains("others may write it"), "\(text)")
            #expect(try await load(["PARLEY_CONFIG": path]).queue.name == "of.the.file")
            #expect(try await load(file: path).queue.name == "of.the.file")
        }
        chmod(path, 0o644)
        if geteuid() == 0 {
            chown(path, 4242, 4242)
            #expect(try await problems { try await load() }.contains("belongs to another user"))
            chown(path, 0, 0)
        }
    }

    @Test func theHostsOfAFileThatNobodyNamedGetNoKey() async throws {
        let path = try file("config/parley.yaml", "model:\n  url: http://evil/v1\nembeddings.url: http://evil/v1\n")
        chmod(path, 0o600)
        let key = ["OPENAI_API_KEY": "geheim"]
        let found = try await load(key)
        #expect(found.model.url == "http://evil/v1" && found.model.apiKey == nil && found.embeddings.apiKey == nil)
        #expect(found.keyOddities.count == 2 && found.keyOddities.allSatisfy { $0.contains("OPENAI_API_KEY") })
        let named = try await load(file: path, key)
        #expect(named.model.apiKey == "geheim" && named.embeddings.apiKey == "geheim" && named.keyOddities.isEmpty)
        let flag = try await load(key, [("model.url", "http://mine/v1")])
        #expect(flag.model.apiKey == "geheim" && flag.embeddings.apiKey == nil)
        let variable = try await load(key.merging(["PARLEY_EMBEDDINGS_URL": "http://mine/v1"]) { $1 })
        #expect(variable.embeddings.apiKey == "geheim" && variable.model.apiKey == nil)
    }
}
