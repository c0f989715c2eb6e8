import Glibc
import ParleyPrimitives

/// Where a broker is and how to log in to it.
package struct RabbitMQConfiguration: Sendable, Equatable {
    /// One address of a broker or of a cluster's node.
    package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
        /// A name or an address; IPv6 without brackets.
        package var host: String
        /// The TCP port.
        package var port: Int

        /// The address `host`:`port`.
        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// How the peer is verified, and who we say we are.
    package struct TLS: Sendable, Equatable {
        /// PEM file with the authorities to trust; `nil` means the system's store.
        package var caFile: String?
        /// PEM file with the client's certificate; needs ``keyFile``.
        package var certificateFile: String?
        /// PEM file with the client's private key.
        package var keyFile: String?
        /// Whether the broker's certificate must be signed by a trusted authority.
        package var verifyPeer: Bool
        /// Whether the broker's certificate must name the host of the endpoint.
        package var verifyHostname: Bool

        /// TLS with full verification, unless said otherwise.
        package init(
            caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil, verifyPeer: Bool = true,
            verifyHostname: Bool = true
        ) {
            self.caFile = caFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.verifyPeer = verifyPeer
            self.verifyHostname = verifyHostname
        }
    }

    /// The addresses; each attempt to connect goes through them in random order.
    package var endpoints: [Endpoint]
    /// The virtual host; `/` is the broker's default one.
    package var virtualHost: String
    /// The user name.
    package var username: String
    /// The password; never part of a description.
    package var password: String
    /// Where the password is read anew for each connection; nil: it stays.
    package var freshPassword: SecretSource?
    /// `nil` means plain TCP.
    package var tls: TLS?
    /// Silence after which either side asks for a sign of life; the peer counts as dead after two of them. The lower of
    /// this and the broker's wish is used, in whole seconds; zero switches heartbeats off.
    package var heartbeat: Duration = .seconds(20)
    /// Limit for connect and login, per endpoint.
    package var connectTimeout: Duration = .seconds(5)
    /// Limit for the answer to a declaration and the like.
    package var rpcTimeout: Duration = .seconds(10)
    /// Limit for the broker's confirm of a publish, including the wait for a connection.
    package var confirmTimeout: Duration = .seconds(30)
    /// How many bytes the kernel is asked to hold for a peer that reads slowly; it may give less (`net.core.wmem_max`).
    package var sendBuffer = 4 << 20
    /// Shown in the broker's management pages and logs.
    package var connectionName: String?

    /// Endpoints and credentials, everything else at its default.
    package init(
        endpoints: [Endpoint], virtualHost: String = "/", username: String = "guest", password: String = "guest",
        tls: TLS? = nil
    ) {
        self.endpoints = endpoints
        self.virtualHost = virtualHost
        self.username = username
        self.password = password
        self.tls = tls
    }

    /// With the password as it is now. Blocks for as long as reading a file takes.
    func refreshed() -> RabbitMQConfiguration {
        guard let now = freshPassword?.current() else { return self }
        var fresh = self
        fresh.password = now
        return fresh
    }

    /// Files that the TLS settings name and that cannot be read, a sentence each.
    package var problems: [String] {
        let files = [("cacertfile", tls?.caFile), ("certfile", tls?.certificateFile), ("keyfile", tls?.keyFile)]
        return files.compactMap { parameter, path in
            guard let path, access(path, R_OK) != 0 else { return nil }
            return "\(parameter) \(path) cannot be read: \(String(cString: strerror(errno)))"
        }
    }

    /// The URL without its password, for logs.
    package var redacted: String {
        let scheme = tls == nil ? "amqp" : "amqps"
        let hosts = endpoints.map(\.description).joined(separator: ",")
        let vhost = virtualHost == "/" ? "" : "/" + PercentEncoding.encode(virtualHost)
        return "\(scheme)://\(PercentEncoding.encode(username)):***@\(hosts)\(vhost)"
    }
}

extension RabbitMQConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { redacted }
    package var debugDescription: String { redacted }
    package var customMirror: Mirror { Mirror(self, children: ["url": redacted]) }
}
