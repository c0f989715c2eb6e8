import ParleyPrimitives
import ParleyRabbitMQ
import ParleySettings

extension RabbitMQConfiguration {
    /// The broker that a configuration names. A password from a file is read anew for each connection, so that it can be
    /// changed, or run out (an OAuth token), without a restart.
    /// - Throws: ``RabbitMQError`` with code `invalidConfiguration`, naming the URL's wrong part.
    package init(_ settings: Settings) throws(RabbitMQError) {
        try self.init(url: settings.rabbitmqURL)
        password = settings.rabbitmqPassword ?? password
        let user = username
        freshPassword = settings.passwordSource("rabbitmq") { url in
            guard let read = try? RabbitMQConfiguration(url: url), read.username == user else { return nil }
            return read.password
        }
    }
}

extension Settings {
    /// Where the password of a server is read anew; nil when it comes from no file.
    ///
    /// - Parameters:
    ///   - server: `rabbitmq` or `redis`.
    ///   - password: that of a URL, if the URL has the same user still.
    func passwordSource(
        _ server: String, inURL password: @escaping @Sendable (String) -> String?
    ) -> SecretSource? {
        if let path = secretFiles["\(server).password"] { return SecretSource { try? SecretFile.read(path) } }
        let isSet = server == "redis" ? redisPassword != nil : rabbitmqPassword != nil
        guard !isSet, let path = secretFiles["\(server).url"] else { return nil }
        return SecretSource { (try? SecretFile.read(path)).flatMap(password) }
    }
}
