/// What becomes of a client's connection, for metrics and health checks.
package enum RedisEvent: Sendable {
    /// The server answered, credentials and database are accepted, commands can be sent.
    case connected
    /// A connection that served commands is over; the client makes another.
    case disconnected(RedisError)
    /// An attempt to connect failed; the next one follows after this wait.
    case attemptFailed(RedisError, nextIn: Duration)
}
