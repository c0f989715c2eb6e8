/// The text properties of a message that are kept byte for byte when they are not UTF-8.
package enum TextProperty: Sendable, Hashable {
    case contentEncoding, correlationID, expiration, messageID, type, userID, appID
}
