/// Where a secret is read anew each time that it is needed.
///
/// It is part of configurations, which are compared by what they say: two sources count as the same.
package struct SecretSource: Sendable, Equatable {
    private let read: @Sendable () -> String?
    private let last = Shared<String?>(nil)

    /// - Parameter read: may block for as long as a file takes. Nil: it cannot be read at the moment.
    package init(_ read: @escaping @Sendable () -> String?) { self.read = read }

    /// What it is now, else what it was; nil when it was never read.
    package func current() -> String? {
        if let now = read() { last.set(now) }
        return last.value
    }

    package static func == (_: SecretSource, _: SecretSource) -> Bool { true }
}
