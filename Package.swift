// swift-tools-version: 6.2
import PackageDescription

// An async function runs where its caller does (SE-0461), in a worker on the I/O loop; what is to leave it says
// `@concurrent`. CI sets PARLEY_STRICT: every warning in Parley's own code is then an error.
let strict: [SwiftSetting] =
    [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
    + (Context.environment["PARLEY_STRICT"] != nil ? [.treatAllWarnings(as: .error)] : [])

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")

/// The floors of the house, from the bottom up: the folders of Sources/. A target uses only those of its own floor and below.
enum Floor: String {
    case basics = "Basics"
    case transports = "Transports"
    case core = "Core"
    case adapters = "Adapters"
    case services = "Services"
    case commands = "Commands"
}

/// A room: a library target in its floor's folder.
func room(_ name: String, on floor: Floor, uses: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: uses, path: "Sources/\(floor.rawValue)/\(name)", swiftSettings: strict)
}

/// The module map of a C library.
func shim(_ name: String) -> Target { .systemLibrary(name: name, path: "Sources/Basics/\(name)") }

/// The tests of a room, under Tests/.
func tests(
    of name: String, uses: [Target.Dependency] = [], exclude: [String] = [], resources: [Resource] = []
) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.byName(name: name)] + uses, exclude: exclude, resources: resources,
        swiftSettings: strict)
}

let package = Package(
    name: "parley",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "parley", targets: ["parley"]),
        .library(name: "ParleyClient", targets: ["ParleyClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Floor 1: module maps, the loop, and the contract as types.
        shim("CEpoll"),
        shim("CRabbitMQ"),
        shim("CHiredis"),
        shim("CCurl"),
        shim("CZlib"),
        shim("CZstd"),
        shim("CCrypto"),
        shim("CPostgres"),
        room("ParleyPrimitives", on: .basics),
        room("IOLoop", on: .basics, uses: ["CEpoll", "ParleyPrimitives", heap]),
        room("ParleyJSON", on: .basics, uses: ["ParleyPrimitives"]),
        room("ParleyGzip", on: .basics, uses: ["CZlib"]),
        room("ParleyZstd", on: .basics, uses: ["CZstd"]),
        room("ParleyDigest", on: .basics, uses: ["CCrypto"]),
        room("ChatJobs", on: .basics, uses: ["ParleyJSON", "ParleyPrimitives"]),

        // Floor 2: the transports, knowing nothing of chat.
        room(
            "ParleyRabbitMQ", on: .transports,
            uses: ["IOLoop", "CRabbitMQ", "ParleyDigest", "ParleyPrimitives", logging, deque]),
        room("ParleyRedis", on: .transports, uses: ["IOLoop", "CHiredis", "ParleyPrimitives", logging, deque]),
        room("ParleyHTTP", on: .transports, uses: ["IOLoop", "CCurl", "ParleyPrimitives", logging]),
        room("ParleyPostgres", on: .transports, uses: ["IOLoop", "CPostgres", "ParleyPrimitives", deque]),
        room(
            "Telemetry", on: .adapters,
            uses: [
                "IOLoop", "ParleyJSON", "ParleyPrimitives", logging, metrics,
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ]),

        // Floor 3: what happens to a job, without a socket in sight.
        room("Routing", on: .core, uses: ["ChatJobs", "ParleyDigest", "ParleyPrimitives"]),
        room(
            "Answering", on: .core,
            uses: [
                "ChatJobs", "ParleyDigest", "ParleyJSON", "ParleyPrimitives", "Routing", deque, heap, logging, metrics,
            ]),
        room(
            "Pipeline", on: .core,
            uses: [
                "Answering", "ChatJobs", "ParleyDigest", "ParleyPrimitives", "Routing", deque, heap, logging, metrics,
            ]),
        room("PipelineTestKit", on: .core, uses: ["Answering", "Pipeline", "ChatJobs", heap, logging]),
        .target(name: "CHNSW", path: "Sources/Core/CHNSW"),
        room(
            "Retrieval", on: .core,
            uses: [
                "ChatJobs", "ParleyDigest", "ParleyJSON", "ParleyHTTP", "ParleyPostgres", "ParleyPrimitives", "IOLoop",
                "CHNSW", logging, metrics,
            ]),
        // Retrieval: what is quoted is chosen by the words that the search knows.
        room(
            "Generation", on: .core,
            uses: ["ChatJobs", "ParleyJSON", "ParleyHTTP", "ParleyPrimitives", "Retrieval", logging]),

        // Floor 4: the ports' implementations, the names of queues, the settings.
        room("Topology", on: .adapters, uses: ["ChatJobs", "ParleyDigest", "ParleyRabbitMQ"]),
        room(
            "ParleySettings", on: .adapters,
            uses: [
                "ParleyPrimitives", .product(name: "Configuration", package: "swift-configuration"), "Yams",
            ]),
        room(
            "Adapters", on: .adapters,
            uses: [
                "Pipeline", "ChatJobs", "ParleyDigest", "ParleyHTTP", "ParleyPrimitives", "ParleyRabbitMQ",
                "ParleyRedis", "ParleySettings", "ParleyZstd", "Retrieval", "Generation", "Topology", logging,
            ]),
        room(
            "Admin", on: .services,
            uses: [
                "Telemetry", "ParleyJSON", "ParleyPrimitives", logging,
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),

        // Floor 5: the assembly, the client for Swift producers, and what operators do.
        room(
            "Operations", on: .services,
            uses: [
                "ChatJobs", "ParleyDigest", "ParleyGzip", "ParleyJSON", "ParleyPrimitives", "ParleyRabbitMQ",
                "ParleyRedis", "Topology", "IOLoop", logging,
            ]),
        room(
            "ParleyClient", on: .services,
            uses: ["ChatJobs", "IOLoop", "ParleyRabbitMQ", "ParleyRedis", "Topology", logging]),
        room(
            "Worker", on: .services,
            uses: [
                "Adapters", "Admin", "Answering", "ChatJobs", "Generation", "ParleyGzip", "ParleyHTTP", "IOLoop",
                "ParleyJSON", "ParleyPrimitives",
                "Pipeline", "ParleyRabbitMQ",
                "ParleyDigest", "ParleyRedis", "Routing",
                "Retrieval", "ParleySettings", "Telemetry", "Topology", logging, metrics,
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),

        // Floor 6: the command line.
        .executableTarget(
            name: "parley",
            dependencies: [
                "Worker", "ParleyClient", "Operations", "Admin", "ChatJobs", "IOLoop", "ParleyJSON", "ParleyPrimitives",
                "ParleyRabbitMQ", "ParleyRedis",
                "Retrieval", "ParleySettings", "Telemetry", "Topology", logging, metrics,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "Sources/Commands/parley", swiftSettings: strict),

        // The simulation, run by scripts/simulate.
        .executableTarget(
            name: "simulate",
            dependencies: [
                "PipelineTestKit", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "Sources/Commands/simulate", swiftSettings: strict),

        // What the tests of several rooms use: servers of their own, and such that do as they are told.
        .target(
            name: "TestSupport",
            dependencies: ["CZlib", "IOLoop", "ParleyRabbitMQ", "ParleyRedis", logging],
            path: "Tests/Support", swiftSettings: strict),

        tests(of: "ParleyPrimitives"),
        tests(of: "IOLoop", uses: ["CEpoll"]),
        tests(of: "ParleyJSON"),
        tests(of: "ParleyGzip", uses: ["TestSupport"]),
        tests(of: "ParleyZstd"),
        tests(of: "ParleyDigest"),
        tests(of: "ChatJobs", uses: ["ParleyJSON"]),
        tests(
            of: "Answering", uses: ["ChatJobs", "ParleyPrimitives", "PipelineTestKit", "Pipeline", "Routing", logging]),
        tests(of: "Pipeline", uses: ["Answering", "PipelineTestKit", "ChatJobs", "ParleyDigest", logging]),
        tests(of: "ParleyRabbitMQ", uses: ["IOLoop", "CRabbitMQ", "ParleyDigest", "TestSupport", logging]),
        tests(
            of: "Topology",
            uses: ["Adapters", "ChatJobs", "IOLoop", "Pipeline", "ParleyRabbitMQ", "TestSupport", logging]),
        tests(of: "ParleyRedis", uses: ["IOLoop", "TestSupport", logging]),
        // A getaddrinfo for the tests, in C so that it stands before the C library's.
        .target(name: "CHangingResolver", path: "Tests/CHangingResolver"),
        tests(of: "ParleyHTTP", uses: ["CHangingResolver", "IOLoop", "CZlib", "TestSupport", logging]),
        tests(of: "ParleyPostgres", uses: ["TestSupport"]),
        tests(of: "Telemetry", uses: ["ParleyJSON", logging, metrics]),
        tests(
            of: "Routing", uses: ["ChatJobs", "ParleyDigest", "ParleyJSON"], resources: [.copy("golden.jsonl")]),
        tests(
            of: "Retrieval",
            uses: [
                "Routing", "ChatJobs", "ParleyJSON", "ParleyHTTP", "ParleyPostgres", "IOLoop", "CHNSW", "TestSupport",
                logging,
            ],
            exclude: ["Golden"]),
        tests(
            of: "Generation",
            uses: ["Answering", "ChatJobs", "ParleyJSON", "ParleyHTTP", "IOLoop", "Retrieval", "TestSupport", logging],
            resources: [.copy("Recorded")]),
        tests(of: "ParleySettings", uses: ["Yams"]),
        tests(
            of: "Adapters",
            uses: [
                "Answering", "ChatJobs", "IOLoop", "Pipeline", "ParleyHTTP", "ParleyRedis", "Retrieval", "TestSupport",
                "Topology", logging,
            ]),
        tests(
            of: "Worker",
            uses: ["IOLoop", "ParleyHTTP", "ParleyRabbitMQ", "ParleyRedis", "ParleySettings", logging]),
        tests(of: "Operations", uses: ["ChatJobs", "ParleyJSON", "ParleyRabbitMQ", "Topology", "IOLoop", logging]),
        // The contract from outside: the built program, real servers.
        .testTarget(
            name: "ContractTests",
            dependencies: [
                "parley", "ParleyClient", "ParleyRabbitMQ", "ParleyRedis", "Topology", "IOLoop", "ParleyJSON",
                "TestSupport", logging,
            ],
            swiftSettings: strict),
        tests(
            of: "Admin",
            uses: [
                "Telemetry", logging, metrics,
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
    ]
)
