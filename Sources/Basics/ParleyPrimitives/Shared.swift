import Synchronization

/// A value that is replaced while others use it: whoever asks gets the last one.
package final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    package init(_ value: Value) { state = Mutex(value) }

    package var value: Value { state.withLock { $0 } }
    package func set(_ value: Value) { state.withLock { $0 = value } }
}
