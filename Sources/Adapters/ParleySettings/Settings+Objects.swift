extension Settings {
    /// `objects.*`, `reply.max_inline`. Keys come from the usual variables (`AWS_ACCESS_KEY_ID` and so on) where none are set, but
    /// not for a store that a file names which only lies in the working folder.
    mutating func readObjects(_ reader: inout SettingsReader, environment: [String: String]) {
        reader.size("reply.max_inline", &replyMaxInline, in: 0...(8 << 20))
        reader.string("objects.url", &objects.url)
        if let region = environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] { objects.region = region }
        reader.string("objects.region", &objects.region)
        let isName = objects.region.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "-")
        }
        if !isName { reader.wrong("objects.region", objects.region, "a region's name, such as eu-central-1") }
        reader.secret("objects.access_key", &objects.accessKey)
        reader.secret("objects.secret_key", &objects.secretKey)
        guard let url = objects.url, url.hasPrefix("s3+") else { return }
        if objects.accessKey == nil, objects.secretKey == nil {
            if reader.isOfFoundFile("objects.url") {
                objects.areKeysWithheld = environment["AWS_ACCESS_KEY_ID"] != nil
            } else {
                objects.accessKey = environment["AWS_ACCESS_KEY_ID"]
                objects.secretKey = environment["AWS_SECRET_ACCESS_KEY"]
                objects.sessionToken = environment["AWS_SESSION_TOKEN"]
            }
        }
        guard objects.accessKey == nil || objects.secretKey == nil else { return }
        reader.problem(
            objects.areKeysWithheld
                ? "objects.url is in \(Self.defaultFile), which only lies in the working folder: AWS_ACCESS_KEY_ID is not for it; "
                    + "give the file with --config or PARLEY_CONFIG, or set objects.access_key and objects.secret_key"
                : "objects.url is a bucket, and there is no key for it: set objects.access_key and objects.secret_key, or "
                    + "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    }
}
