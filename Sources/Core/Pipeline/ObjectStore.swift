/// Keeps what is too long for messages (`objects.url`).
package protocol ObjectStore: Sendable {
    /// Keeps an answer. Under one name there is never anything else.
    ///
    /// - Returns: the object's URL.
    func keep(_ bytes: [UInt8], as name: String) async throws(ObjectFailure) -> String
    /// The object of that URL: the store's own only.
    ///
    /// - Parameter limit: the most bytes it may have.
    func read(_ url: String, limit: Int) async throws(ObjectFailure) -> [UInt8]
}

/// Why an object could not be kept, or read.
package enum ObjectFailure: Error, Sendable, Equatable {
    /// The store cannot be asked at the moment.
    case away(String)
    /// There is none, or it is not to be had from here.
    case absent(String)
}
