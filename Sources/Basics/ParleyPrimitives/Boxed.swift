/// A large value, held apart from whoever holds it: a copy is a reference until it is changed.
///
/// For values that live across suspensions: an async function's frame has room for each copy that it may come to hold, and
/// thousands of frames wait at once.
package struct Boxed<Value: Sendable>: Sendable {
    /// Always one: an array is what the standard library copies on write.
    private var storage: [Value]

    package init(_ value: Value) { storage = [value] }

    package var value: Value {
        _read { yield storage[0] }
        _modify { yield &storage[0] }
    }
}
