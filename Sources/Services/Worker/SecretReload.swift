import Adapters
import Admin
import Logging
import ParleySettings
import ServiceLifecycle
import UnixSignals

/// Reads the keys and tokens that come from files again when SIGHUP asks for it. Passwords of RabbitMQ and Redis need no signal:
/// they are read for each connection.
struct SecretReload: ServiceLifecycle.Service, CustomStringConvertible {
    var description: String { "secrets" }

    /// Nil without files: nothing is read again, and SIGHUP ends the process as ever.
    let signals: UnixSignalsSequence?
    let assembly: Assembly
    let admin: AdminServer
    let outbox: RabbitMQOutbox
    let logger: Logger

    /// From now on SIGHUP does not end the process; a signal that comes before ``run()`` is kept for it.
    static func signals(for settings: Settings) async -> UnixSignalsSequence? {
        settings.secretFiles.isEmpty ? nil : await UnixSignalsSequence(trapping: .sighup)
    }

    func run() async throws {
        guard let signals else {
            try? await gracefulShutdown()
            return
        }
        for await _ in signals.cancelOnGracefulShutdown() { reload() }
    }

    /// A key that an agent shares with the default one comes from that one's file.
    private func uses(_ agent: AgentParts) -> [(key: String, use: (String) throws -> Void)] {
        let (files, standard) = (assembly.settings.secretFiles, assembly.standard.settings)
        var uses: [(key: String, use: (String) throws -> Void)] = []
        let model = agent.key("model.api_key")
        if files[model] != nil {
            uses.append((model, { try agent.useKey($0) }))
        } else if agent.settings.model.apiKey == standard.model.apiKey {
            uses.append(("model.api_key", { try agent.useKey($0) }))
        }
        for fallback in agent.fallbacks {
            if files[fallback.key + "api_key"] != nil {
                uses.append((fallback.key + "api_key", { try fallback.model.useKey($0) }))
            } else if fallback.settings.apiKey == agent.settings.model.apiKey {
                uses.append((files[model] != nil ? model : "model.api_key", { try fallback.model.useKey($0) }))
            }
        }
        let store = agent.key("vectors.token")
        if files[store] != nil {
            uses.append((store, { try agent.store.useToken($0) }))
        } else if agent.settings.vectorsToken == standard.vectorsToken {
            uses.append(("vectors.token", { try agent.store.useToken($0) }))
        }
        return uses
    }

    private func reload() {
        let files = assembly.settings.secretFiles
        logger.info("SIGHUP: passwords of RabbitMQ and Redis are read for each connection, keys and tokens now")
        let uses: [(key: String, use: (String) throws -> Void)] =
            [
                ("embeddings.api_key", { try assembly.embedder.useKey($0) }),
                ("rerank.api_key", { try assembly.reranker?.useKey($0) }),
                ("admin.token", { admin.useToken($0) }),
                (
                    "secrets.letter_key",
                    {
                        if let problem = Settings.problem(ofLetterKey: $0) { throw SettingsError(problems: [problem]) }
                        outbox.useLetterKey($0)
                    }
                ),
            ] + assembly.agents.flatMap(uses)
        var done: [String] = []
        for (key, use) in uses {
            guard let path = files[key] else { continue }
            do {
                try use(SecretFile.read(path))
                if !done.contains(key) { done.append(key) }
            } catch {
                let reason = (error as? SettingsError)?.problems.first ?? "\(error)"
                logger.warning(
                    "a secret stays as it was",
                    metadata: ["key": "\(key)_file", "file": "\(path)", "reason": "\(reason)"])
            }
        }
        guard !done.isEmpty else { return }
        logger.notice("secrets were read again", metadata: ["keys": "\(done.joined(separator: ", "))"])
    }
}
