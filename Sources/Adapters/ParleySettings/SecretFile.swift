/// A file that holds a secret and nothing else.
package enum SecretFile {
    /// What is in it, without the white space around: editors and `echo` end a file with a line feed.
    /// - Throws: ``SettingsError`` with the reason in words, the secret never among them.
    package static func read(_ path: String) throws(SettingsError) -> String {
        let text: String
        do throws(FileText.Reason) { text = try FileText.read(path, limit: 64 << 10) } catch {
            throw SettingsError(problems: ["the file cannot be read: \(error.text)"])
        }
        let secret = text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
        guard !secret.isEmpty else { throw SettingsError(problems: ["the file is empty"]) }
        return String(secret)
    }
}
