import ParleyRedis
import ParleySettings

extension RedisConfiguration {
    /// The server that a configuration names, its password as RabbitMQ's. A file that has a key of its own goes before the URL's.
    /// - Throws: ``RedisError`` with code `invalidConfiguration`, naming the URL's wrong part.
    package init(_ settings: Settings) throws(RedisError) {
        try self.init(url: settings.redisURL)
        password = settings.redisPassword ?? password
        let user = username
        freshPassword = settings.passwordSource("redis") { url in
            guard let read = try? RedisConfiguration(url: url), read.username == user else { return nil }
            return read.password
        }
        let files = settings.redisTLS
        certificateAuthorityFile = files.caFile ?? certificateAuthorityFile
        certificateFile = files.certificateFile ?? certificateFile
        keyFile = files.keyFile ?? keyFile
    }
}
