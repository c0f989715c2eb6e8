import Foundation
import Glibc
import Logging
import ServiceLifecycle
import Telemetry
import Testing

@testable import Admin

/// `admin.listen: unix:/PATH`.
@Suite(.timeLimit(.minutes(1))) struct UnixSocketTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A folder for `body`, which is given the path of a socket in it.
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        var template = Array("/tmp/parley-admin-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder + "/admin.sock")
    }

    private func withServer(_ path: String, _ body: @Sendable () async throws -> Void) async throws {
        let (bindings, bound) = AsyncStream.makeStream(of: Int.self)
        let server = AdminServer(
            listen: .unix(path: path), registry: MetricsRegistry(version: "0"), readiness: { Readiness() },
            logger: Self.quiet, onBound: { bound.yield($0) })
        let services = ServiceGroup(services: [server], logger: Self.quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { bound.finish() }
                try await services.run()
            }
            for await _ in bindings {
                try await body()
                break
            }
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
        }
    }

    private func mode(_ path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode : nil
    }

    private func contents(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: (path as NSString).deletingLastPathComponent)
    }

    @Test func itIsItsOwnersAloneAndGoesWithTheServer() async throws {
        try await withFolder { path in
            try await withServer(path) {
                let alive = try await HTTPProbe.get("/livez", socket: path)
                #expect(alive.hasSuffix("\r\n\r\nok"))
                let metrics = try await HTTPProbe.get("/metrics", socket: path)
                #expect(metrics.hasPrefix("HTTP/1.1 200 OK"))
                #expect(self.mode(path) == S_IFSOCK | 0o600)
                #expect(try self.contents(path) == ["admin.sock"])
            }
            #expect(try contents(path).isEmpty)
        }
    }

    @Test func oneThatNobodyListensToIsReplaced() async throws {
        try await withFolder { path in
            let left = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = HTTPProbe.unixAddress(path)
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(left, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            close(left)
            try #require(result == 0 && mode(path) != nil)
            try await withServer(path) {
                let alive = try await HTTPProbe.get("/livez", socket: path)
                #expect(alive.hasSuffix("ok"))
            }
            #expect(try contents(path).isEmpty)
        }
    }

    @Test func oneThatAnotherListensToIsNamedAndLeftAlone() async throws {
        try await withFolder { path in
            try await withServer(path) {
                let error = await #expect(throws: AdminError.self) { try await self.withServer(path) {} }
                #expect(error?.code == .addressInUse && error?.message.contains(path) == true)
                let alive = try await HTTPProbe.get("/livez", socket: path)
                #expect(alive.hasSuffix("ok"))
            }
        }
    }

    @Test func whatIsNoSocketIsLeftAlone() async throws {
        try await withFolder { path in
            try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
            let error = await #expect(throws: AdminError.self) { try await self.withServer(path) {} }
            #expect(error?.code == .cannotListen && error?.message.contains("left alone") == true)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data("precious".utf8))
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/etc/passwd")
            await #expect(throws: AdminError.self) { try await self.withServer(path) {} }
            #expect(try contents(path) == ["admin.sock"])
        }
    }

    @Test func aFolderThatIsNotThereIsSaid() async throws {
        let error = await #expect(throws: AdminError.self) { try await withServer("/nonexistent/admin.sock") {} }
        #expect(
            error?.code == .cannotListen && error?.message.contains("No such file") == true, "\(error?.message ?? "")")
    }

    @Test func whatAnotherPutThereMeanwhileStays() async throws {
        try await withFolder { path in
            try await withServer(path) {
                unlink(path)
                try Data("another's".utf8).write(to: URL(fileURLWithPath: path))
            }
            #expect(try contents(path) == ["admin.sock"])
        }
    }
}
