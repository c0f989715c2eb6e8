import ParleyRabbitMQ
import ParleyRedis
import ParleySettings
import TestSupport
import Testing
import Worker

/// Passwords from files are those of the moment.
@Suite struct PasswordTests {
    private func settings(_ pairs: [String: String]) async throws -> Settings {
        try await Settings.load(
            file: nil, environment: [:], overrides: pairs.map { ($0.key, $0.value) }, defaultFile: "none")
    }

    @Test func aFileBesideTheURLIsReadAnew() async throws {
        let folder = try Folder()
        try folder.write("p", "one\n")
        let settings = try await settings([
            "rabbitmq.url": "amqp://me:old@h", "rabbitmq.password_file": folder.path + "/p",
            "redis.url": "redis://me:old@h", "redis.password_file": folder.path + "/p",
        ])
        let (rabbitMQ, redis) = (try RabbitMQConfiguration(settings), try RedisConfiguration(settings))
        #expect(rabbitMQ.password == "one" && redis.password == "one")
        try folder.write("p", "two")
        #expect(rabbitMQ.freshPassword?.current() == "two" && redis.freshPassword?.current() == "two")
        // One that is being written, or gone, is what it was.
        try folder.write("p", "")
        #expect(rabbitMQ.freshPassword?.current() == "two")
        folder.remove("p")
        #expect(redis.freshPassword?.current() == "two")
    }

    @Test func ofAURLInAFileThePasswordIsReadAnewForTheSameUser() async throws {
        let folder = try Folder()
        try folder.write("amqp", "amqp://me:one@h")
        try folder.write("redis", "redis://me:one@h")
        let settings = try await settings([
            "rabbitmq.url_file": folder.path + "/amqp", "redis.url_file": folder.path + "/redis",
        ])
        let (rabbitMQ, redis) = (try RabbitMQConfiguration(settings), try RedisConfiguration(settings))
        try folder.write("amqp", "amqp://me:two%2F@h")
        try folder.write("redis", "redis://me:two%2F@h")
        #expect(rabbitMQ.freshPassword?.current() == "two/" && redis.freshPassword?.current() == "two/")
        try folder.write("amqp", "amqp://other:three@h")
        try folder.write("redis", "not a URL")
        #expect(rabbitMQ.freshPassword?.current() == "two/" && redis.freshPassword?.current() == "two/")
    }

    @Test func withoutFilesNothingIsReadAnew() async throws {
        let settings = try await settings(["rabbitmq.password": "p", "redis.url": "redis://h"])
        #expect(try RabbitMQConfiguration(settings).password == "p")
        #expect(try RabbitMQConfiguration(settings).freshPassword == nil)
        #expect(try RedisConfiguration(settings).freshPassword == nil)
    }
}
