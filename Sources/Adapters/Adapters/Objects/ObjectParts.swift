import ParleyHTTP
import ParleySettings
import Pipeline

/// What `objects.url` names: made, but not yet asked anything.
package struct ObjectParts: Sendable {
    package let store: any ObjectStore
    package let location: String

    /// - Throws: ``SettingsError`` when the address is refused.
    package init?(_ settings: Settings.Objects, http: HTTPClient) throws(SettingsError) {
        guard let url = settings.url else { return nil }
        let address: ObjectAddress
        do throws(ObjectAddress.Refusal) { address = try ObjectAddress(url) } catch {
            throw SettingsError(problems: [Settings.refusal("objects.url", url, error.text)])
        }
        location = address.location
        switch address.place {
        case .folder(let path): store = FileObjects(address, folder: path)
        case .bucket(let bucket):
            store = BucketObjects(
                address, bucket: bucket,
                signature: RequestSignature(
                    region: settings.region, accessKey: settings.accessKey ?? "", secretKey: settings.secretKey ?? "",
                    sessionToken: settings.sessionToken), http: http)
        }
    }

    /// What is wrong with the store; nil when it can be used. Nothing is kept there.
    package func trouble() async -> (text: String, isAway: Bool)? {
        switch store {
        case let store as FileObjects: store.trouble().map { ("objects.url: \($0)", false) }
        case let store as BucketObjects: await store.trouble()
        default: nil
        }
    }
}
