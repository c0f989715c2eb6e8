import CRabbitMQ
import TestSupport

@testable import ParleyRabbitMQ

extension RabbitMQConnection {
    /// Publishes a message whose header nests arrays deeper than ``Arena`` allows, as a hostile peer would.
    func publishDeeplyNested(levels: Int, routingKey: String, channel: UInt16) async throws {
        let values = UnsafeMutablePointer<amqp_field_value_t>.allocate(capacity: levels + 1)
        defer { values.deallocate() }
        values[levels] = amqp_field_value_t()
        values[levels].kind = FieldKind.null
        for level in (0..<levels).reversed() {
            values[level] = amqp_field_value_t()
            values[level].kind = FieldKind.array
            values[level].value.array = amqp_array_t(num_entries: 1, entries: values + level + 1)
        }
        guard let state = session.wire?.state else { return }
        var body: [UInt8] = [1]
        let count = body.count
        let status = "h".utf8.withContiguousStorageIfAvailable { key in
            Array(routingKey.utf8).withUnsafeBufferPointer { route in
                body.withUnsafeMutableBytes { body in
                    var entry = amqp_table_entry_t(
                        key: amqp_bytes_t(len: 1, bytes: UnsafeMutableRawPointer(mutating: key.baseAddress)),
                        value: values[0])
                    return withUnsafeMutablePointer(to: &entry) { entry in
                        var properties = amqp_basic_properties_t()
                        properties._flags = 1 << 13
                        properties.headers = amqp_table_t(num_entries: 1, entries: entry)
                        return amqp_basic_publish(
                            state, channel, amqp_bytes_t(),
                            amqp_bytes_t(len: route.count, bytes: UnsafeMutableRawPointer(mutating: route.baseAddress)),
                            0, 0, &properties, amqp_bytes_t(len: count, bytes: body.baseAddress))
                    }
                }
            }
        }
        guard status == 0 else { throw Failure("publish: \(status ?? 1)") }
    }
}
