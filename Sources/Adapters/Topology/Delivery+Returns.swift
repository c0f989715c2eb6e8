import ParleyRabbitMQ

extension Delivery {
    /// How often a quorum queue has got the message back; nil when the queue is a classic one, or never has.
    package var returns: Int? {
        properties.headers["x-delivery-count"]?.int.map { Int(clamping: max(0, $0)) }
    }
}

extension MessageHeaders {
    /// The properties of a message that is put back into its queue anew, as it was but for what the broker counts and what it
    /// would route or refuse by.
    ///
    /// - Parameters:
    ///   - user: the connection's.
    ///   - relay: where the broker's users decide on tenants: the message stays its producer's.
    package static func renewed(
        _ properties: MessageProperties, as user: String, relay: Relay? = nil
    ) -> MessageProperties {
        var renewed = properties
        renewed.deliveryMode = 2
        // The broker takes no other user's name than the connection's.
        if renewed.userID != user { renewed.userID = nil }
        for key in ["x-delivery-count", "x-acquired-count"] + ofRouting { renewed.headers[key] = nil }
        relay?.sign(&renewed, for: relay?.producer(of: properties))
        return renewed
    }
}
