import Glibc
import Synchronization

/// Programs that make text of files which this one cannot read: `pdftotext` (Poppler) and `pandoc`. They are given the file's bytes
/// and nothing else: no network, where the kernel lets us take it away, a minute of time, 2 GiB of memory, 64 MiB to say.
struct Converter: Sendable {
    struct Failure: Error, Equatable { let message: String }

    var program: String
    var arguments: [String]
    /// What to install, for the message when it is missing.
    var package: String
    var timeout: Duration = .seconds(60)
    var mostOutput = 64 << 20
    /// Where programs are looked for; nil: the environment's PATH.
    var path: String?

    static let pdf = Converter(
        program: "pdftotext", arguments: ["-q", "-enc", "UTF-8", "-", "-"], package: "poppler-utils")
    static let docx = Converter(
        program: "pandoc", arguments: ["--sandbox", "-f", "docx", "-t", "gfm-raw_html", "--wrap=none"],
        package: "pandoc")

    private static let memoryKiB = 2 << 20

    /// Whether processes may have a network of their own, which is none; and with which flags.
    private static let isolation = Mutex<[String]??>(nil)

    /// What the program makes of `bytes`.
    func text(of bytes: [UInt8]) throws(Failure) -> String {
        guard let program = find() else {
            throw Failure(message: "needs the program \(program), which is not there: install \(package)")
        }
        var command = [
            "/bin/sh", "-c", "ulimit -v \(Self.memoryKiB); ulimit -t \(seconds); ulimit -c 0; exec \"$@\"", "sh",
        ]
        if let flags = isolationFlags() { command += flags }
        let (output, words, status) = try run(command + [program] + arguments, bytes)
        guard status == 0 else {
            let said = words.split(separator: "\n").first.map { ": \($0.prefix(200))" } ?? ""
            let how = status & 0x7F == 0 ? "status \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
            throw Failure(message: "\(self.program) could not read it (\(how)\(said))")
        }
        guard let text = String(validating: output, as: UTF8.self) else {
            throw Failure(message: "\(self.program) gave no valid UTF-8")
        }
        return text
    }

    private var seconds: Int { max(1, Int(timeout.components.seconds)) }

    private func find() -> String? {
        let path = path ?? getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    private func isolationFlags() -> [String]? {
        Self.isolation.withLock { known in
            if let known { return known }
            let own =
                geteuid() == 0
                ? [["unshare", "-n", "--"], ["unshare", "-r", "-n", "--"]] : [["unshare", "-r", "-n", "--"]]
            let found = own.first { flags in
                (try? run(["/bin/sh", "-c", "exec \"$@\"", "sh"] + flags + ["true"], []))?.status == 0
            }
            known = .some(found)
            return found
        }
    }

    // MARK: - The process

    private func run(
        _ command: [String], _ input: [UInt8]
    ) throws(Failure) -> (output: [UInt8], words: String, status: Int32) {
        let file = try Self.file(with: input)
        defer { close(file) }
        var (out, words): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        guard Self.pipe(&out) else { throw Self.failure("cannot make a pipe") }
        guard Self.pipe(&words) else {
            for end in out { close(end) }
            throw Self.failure("cannot make a pipe")
        }
        let process = Self.spawn(command, input: file, output: out[1], words: words[1])
        close(out[1])
        close(words[1])
        defer {
            close(out[0])
            close(words[0])
        }
        guard let process else { throw Self.failure("cannot start \(program)") }
        let outcome = collect(out[0], words[0])
        // The group, so that nothing it has started stays behind.
        kill(-process, SIGKILL)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let (output, said) = try outcome.get()
        return (output, said, status)
    }

    /// Until both are closed.
    private func collect(_ out: Int32, _ words: Int32) -> Result<([UInt8], String), Failure> {
        let deadline = ContinuousClock.now + timeout
        var output: [UInt8] = []
        var said: [UInt8] = []
        var isOpen = (out: true, words: true)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while isOpen.out || isOpen.words {
            let left = deadline - ContinuousClock.now
            guard left > .zero else { return .failure(Failure(message: "\(program) took longer than \(timeout)")) }
            var polled = [
                pollfd(fd: isOpen.out ? out : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isOpen.words ? words : -1, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polled, 2, Int32(min(left / .milliseconds(1), 60_000)) + 1) > 0 else { continue }
            for place in 0..<2 where polled[place].revents != 0 {
                let count = read(polled[place].fd, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                if count <= 0 {
                    if place == 0 { isOpen.out = false } else { isOpen.words = false }
                } else if place == 0 {
                    output += buffer[..<count]
                } else if said.count < 4096 {
                    said += buffer[..<count]
                }
            }
            guard output.count <= mostOutput else {
                return .failure(Failure(message: "\(program) makes more than \(mostOutput) bytes of it"))
            }
        }
        let sentence = String(decoding: said, as: UTF8.self).unicodeScalars.filter {
            $0 == "\n" || $0.value >= 0x20 && $0.value != 0x7F
        }
        return .success((output, String(String.UnicodeScalarView(sentence))))
    }

    private static func spawn(_ command: [String], input: Int32, output: Int32, words: Int32) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        guard posix_spawn_file_actions_init(&actions) == 0 else { return nil }
        defer { posix_spawn_file_actions_destroy(&actions) }
        guard posix_spawnattr_init(&attributes) == 0 else { return nil }
        defer { posix_spawnattr_destroy(&attributes) }
        for (end, place) in [(input, STDIN_FILENO), (output, STDOUT_FILENO), (words, STDERR_FILENO)] {
            posix_spawn_file_actions_adddup2(&actions, end, place)
        }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        let arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        // No secrets of ours: PARLEY_… may have passwords.
        let variables = ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent"]
        let environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var process: pid_t = 0
        guard posix_spawn(&process, command[0], &actions, &attributes, arguments, environment) == 0 else { return nil }
        return process
    }

    /// Its ends are closed in programs that are started.
    private static func pipe(_ ends: inout [Int32]) -> Bool {
        guard Glibc.pipe(&ends) == 0 else { return false }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return true
    }

    /// An open file without a name.
    private static func file(with bytes: [UInt8]) throws(Failure) -> Int32 {
        var template = Array("\(getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp")/parley-XXXXXX".utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { throw failure("cannot hand it over") }
        unlink(template)
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { write(file, $0.baseAddress?.advanced(by: done), bytes.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = failure("cannot hand it over")
                close(file)
                throw error
            }
            done += count
        }
        lseek(file, 0, SEEK_SET)
        return file
    }

    private static func failure(_ what: String) -> Failure {
        Failure(message: "\(what): \(String(cString: strerror(errno)))")
    }
}
