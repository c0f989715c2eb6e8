import ParleySettings
import Routing

extension Router {
    /// What `routing.model` names; nil: nobody is asked.
    ///
    /// - Throws: ``SettingsError`` when it cannot be read, or is none.
    static func named(_ setting: Settings.Routing.Classifier) throws(SettingsError) -> Router? {
        switch setting {
        case .off: return nil
        case .builtin:
            do { return try builtin.get() } catch { throw refusal("builtin", "\(error)") }
        case .file(let path):
            do throws(FileText.Reason) {
                let bytes = try FileText.bytes(path, limit: RouterWeights.mostBytes)
                do throws(RouterWeights.Malformed) {
                    return Router(try RouterWeights(bytes: bytes))
                } catch { throw FileText.Reason(text: "\(error)") }
            } catch { throw refusal(path, error.text) }
        }
    }

    private static func refusal(_ value: String, _ reason: String) -> SettingsError {
        SettingsError(problems: [
            "routing.model: \(value): \(reason); allowed: builtin, off, or a file made by scripts/train-router"
        ])
    }
}
