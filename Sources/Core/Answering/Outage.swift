/// Why a port could not do what it was asked. An outage is not an error of the job: the pipeline waits and asks again.
package struct Outage: Error, Sendable, CustomStringConvertible {
    package let dependency: Dependency
    /// What it said.
    package let reason: String

    package init(_ dependency: Dependency, _ reason: String) {
        self.dependency = dependency
        self.reason = reason
    }

    package var description: String { "\(dependency): \(reason)" }
}
