import Admin
import IOLoop
import Operations
import ParleyClient
import ParleySettings
import Retrieval

/// How a command ends (contract, section 6).
enum ExitStatus: Int32 {
    case done = 0
    /// It failed.
    case failed = 1
    /// What was asked or configured is wrong.
    case wrong = 2
    /// A server could not be reached.
    case unreachable = 3
    case interrupted = 130
}

/// Why a command ends without success.
struct CommandFailure: Error {
    let status: ExitStatus
    /// Printed after `parley: `; empty prints nothing.
    let message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    /// Nil for errors that are ArgumentParser's own. What servers said stays on one line: it could forge a second.
    init?(_ error: any Error) {
        switch error {
        case let error as CommandFailure: self = error
        case let error as SettingsError: self.init(.wrong, error.description)
        case let error as AdminError: self.init(.wrong, "\(error)")
        case let error as IOLoopError: self.init(.failed, "\(error)")
        case let error as OperationError: self.init(Self.status(of: error), oneLine(error.message))
        case let error as RetrievalError:
            let isWrong = [.invalidSetting, .incompatible, .notFound, .noDocuments, .denied, .foreign].contains(
                error.code)
            self.init(error.isTransient ? .unreachable : isWrong ? .wrong : .failed, oneLine(error.explanation))
        case let error as ParleyClientError:
            switch error.code {
            case .invalid: self.init(.wrong, oneLine(error.message))
            case .unreachable: self.init(.unreachable, oneLine(error.message))
            case .refused, .unroutable, .timedOut, .closed: self.init(.failed, oneLine(error.message))
            }
        default: return nil
        }
    }
}
