/// Why health and metrics cannot be served.
package struct AdminError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure it is; more kinds may come.
    package struct Code: Sendable, Hashable {
        private enum Value { case invalidAddress, addressInUse, cannotListen }
        private let value: Value

        /// The address cannot be read.
        package static let invalidAddress = Code(value: .invalidAddress)
        /// Another process listens there.
        package static let addressInUse = Code(value: .addressInUse)
        /// The address does not exist here, the port needs privileges, the name does not resolve.
        package static let cannotListen = Code(value: .cannotListen)
    }

    package let code: Code
    /// What happened, naming the address, and what to do.
    package let message: String

    package var description: String { message }

    static func invalidAddress(_ text: String) -> AdminError {
        AdminError(
            code: .invalidAddress,
            message: "admin.listen: \"\(text.prefix(200))\" is not an address; allowed are HOST:PORT as in"
                + " 127.0.0.1:9464, [IPv6]:PORT as in [::1]:9464, :PORT for all interfaces, unix:/PATH for a socket, and off;"
                + " PORT is 0 to 65535, 0 chooses a free one; PATH is absolute, \(SocketFile.longest) bytes at most")
    }

    static func addressInUse(_ address: AdminAddress) -> AdminError {
        AdminError(
            code: .addressInUse,
            message: "admin.listen: \(address) is in use by another process, perhaps a second worker;"
                + " set admin.listen to another port or path, to port 0 for any free one, or to off")
    }

    static func cannotListen(_ address: AdminAddress, reason: String) -> AdminError {
        AdminError(
            code: .cannotListen,
            message: "admin.listen: cannot listen on \(address): \(reason);"
                + " set admin.listen to an address of this machine and a port this user may open, to a path this user may write,"
                + " or to off")
    }
}
