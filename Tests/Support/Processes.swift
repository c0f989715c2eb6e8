import Glibc

// Foundation's Process spins in `waitUntilExit` off the main thread, on one of the few threads that tests run on.

/// Runs to the end.
/// - Returns: what it printed.
@discardableResult
package func run(_ words: [String], _ environment: [String: String], in folder: Folder) async throws -> String {
    let log = unique()
    let process = try spawn(words, environment, folder, log)
    defer { folder.remove(log) }
    let status: Int32 = try await eventually("the end of \(words[0])", within: .seconds(120)) { try endOf(process) }
    guard status == 0 else { throw Failure("\(words.joined(separator: " ")): \(folder.read(log))") }
    return folder.read(log)
}

/// The status of a child that has ended; nil while it runs. To be asked until it is known, and not again.
package func endOf(_ process: pid_t) throws -> Int32? {
    var status: Int32 = 0
    switch waitpid(process, &status, WNOHANG) {
    case 0: return nil
    case process: return status
    default: throw Failure("waitpid: \(String(cString: strerror(errno)))")
    }
}

/// Starts a process; `end` is for those that are servers.
/// - Parameters:
///   - log: a file in `folder` for all output.
///   - input: a descriptor to read from instead of nothing.
package func spawn(
    _ words: [String], _ environment: [String: String], _ folder: Folder, _ log: String, input: Int32? = nil
) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let input {
        posix_spawn_file_actions_adddup2(&actions, input, 0)
    } else {
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    posix_spawn_file_actions_addopen(&actions, 1, "\(folder.path)/\(log)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // The threads that tests run on block most signals, which a child would inherit.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in arguments + variables { free(pointer) } }
    var process: pid_t = 0
    let status = posix_spawn(&process, words[0], &actions, &attributes, &arguments, &variables)
    guard status == 0 else { throw Failure("\(words[0]) cannot be run: \(String(cString: strerror(status)))") }
    return process
}

/// Kills a process and those it started: a server's script has the server as its child.
package func end(_ process: pid_t) {
    var all = [process]
    var next = 0
    while next < all.count {
        all += children(of: all[next])
        next += 1
    }
    for one in all { kill(one, SIGKILL) }
    waitpid(process, nil, 0)
}

package func children(of process: pid_t) -> [pid_t] {
    guard let file = fopen("/proc/\(process)/task/\(process)/children", "r") else { return [] }
    defer { fclose(file) }
    var children: [pid_t] = []
    var child: pid_t = 0
    while withUnsafeMutablePointer(to: &child, { withVaList([$0]) { vfscanf(file, "%d", $0) } }) == 1 {
        children.append(child)
    }
    return children
}
