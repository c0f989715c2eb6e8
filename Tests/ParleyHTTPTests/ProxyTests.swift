import Glibc
import ParleyHTTP
import Testing

/// The environment belongs to the whole process: these tests run in one of their own.
@Suite("HTTP proxies") struct ProxyTests {
    @Test func theProxyOfTheEnvironmentIsUsed() async {
        await #expect(processExitsWith: .success) {
            let proxy = try TestServer { request, peer in peer.respond(body: Array("via \(request.target)".utf8)) }
            setenv("http_proxy", proxy.url, 1)
            setenv("no_proxy", "127.0.0.1", 1)
            let direct = try TestServer.answering("direct")
            try await withClient { client in
                let proxied = try await client.send(HTTPRequest(url: "http://shop.invalid/x"))
                try #require(proxied.body == Array("via http://shop.invalid/x".utf8))
                let answer = try await client.send(HTTPRequest(url: direct.url))
                try #require(answer.body == Array("direct".utf8))
            }
        }
    }

    @Test func aRefusingProxyIsNamedAsTheCause() async {
        await #expect(processExitsWith: .success) {
            let proxy = try TestServer { _, peer in peer.respond(403) && false }
            setenv("https_proxy", proxy.url, 1)
            setenv("no_proxy", "", 1)
            try await withClient { client in
                let refused = await failure { () async throws(HTTPError) in
                    try await client.send(HTTPRequest(url: "https://shop.invalid/x"))
                }
                try #require(refused?.code == .proxyFailed)
                try #require(refused?.wasSent == false && refused?.isUnreachable == true)
            }
        }
    }
}
