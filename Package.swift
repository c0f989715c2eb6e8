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

/// A room of the house: a library target under Sources/.
func room(_ name: String, uses: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: uses, swiftSettings: strict)
}

/// The tests of a room, under Tests/.
func tests(of name: String, uses: [Target.Dependency] = []) -> Target {
    .testTarget(name: name + "Tests", dependencies: [.byName(name: name)] + uses, swiftSettings: strict)
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
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Floor 1: module maps, the loop, and the contract as types.
        .systemLibrary(name: "CEpoll"),
        .systemLibrary(name: "CRabbitMQ"),
        .systemLibrary(name: "CHiredis"),
        .systemLibrary(name: "CCurl"),
        .systemLibrary(name: "CZlib"),
        room("IOLoop", uses: ["CEpoll", heap]),
        room("JSON"),
        room("Gzip", uses: ["CZlib"]),
        room("ChatJobs", uses: ["JSON"]),

        // Floor 2: the transports, knowing nothing of chat.
        room("RabbitMQ", uses: ["IOLoop", "CRabbitMQ", logging, deque]),
        room("Redis", uses: ["IOLoop", "CHiredis", logging, deque]),
        room("HTTP", uses: ["IOLoop", "CCurl", logging]),
        room("Telemetry", uses: ["JSON", logging, metrics, .product(name: "CoreMetrics", package: "swift-metrics")]),

        // Floor 3: what happens to a job, without a socket in sight.
        room("Pipeline", uses: ["ChatJobs", deque, heap, logging, metrics]),
        room("PipelineTestKit", uses: ["Pipeline", "ChatJobs", heap, logging]),
        .target(name: "CHNSW"),
        room("Retrieval", uses: ["ChatJobs", "JSON", "HTTP", "IOLoop", "CHNSW", logging]),
        room("Generation", uses: ["ChatJobs", "JSON", "HTTP"]),

        // Floor 4: the ports' implementations, the names of queues, the settings.
        room("Topology", uses: ["ChatJobs", "RabbitMQ"]),
        room(
            "Settings",
            uses: [
                .product(name: "Configuration", package: "swift-configuration"), "Yams",
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        room(
            "Adapters",
            uses: ["Pipeline", "ChatJobs", "RabbitMQ", "Redis", "Retrieval", "Generation", "Topology", logging]),
        room(
            "Admin",
            uses: [
                "Telemetry", "JSON", logging, .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),

        // Floor 5: the assembly, the client for Swift producers, and what operators do.
        room(
            "Operations", uses: ["ChatJobs", "Gzip", "JSON", "RabbitMQ", "Redis", "Topology", "IOLoop", logging]),
        room("ParleyClient", uses: ["ChatJobs", "IOLoop", "RabbitMQ", "Redis", "Topology", logging]),
        room(
            "Worker",
            uses: [
                "Adapters", "Admin", "ChatJobs", "Generation", "Gzip", "HTTP", "IOLoop", "JSON", "Pipeline", "RabbitMQ",
                "Redis",
                "Retrieval", "Settings", "Telemetry", "Topology", logging, metrics,
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),

        // Floor 6: the command line.
        .executableTarget(
            name: "parley",
            dependencies: [
                "Worker", "ParleyClient", "Operations", "Admin", "ChatJobs", "IOLoop", "JSON", "RabbitMQ", "Redis",
                "Retrieval", "Settings", "Telemetry", "Topology", logging, metrics,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: strict),

        // The simulation, run by scripts/simulate.
        .executableTarget(
            name: "simulate",
            dependencies: [
                "PipelineTestKit", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: strict),

        tests(of: "IOLoop", uses: ["CEpoll"]),
        tests(of: "JSON"),
        tests(of: "Gzip"),
        tests(of: "ChatJobs", uses: ["JSON"]),
        tests(of: "Pipeline", uses: ["PipelineTestKit", "ChatJobs"]),
        tests(of: "RabbitMQ", uses: ["IOLoop", "CRabbitMQ", logging]),
        tests(of: "Topology", uses: ["Adapters", "ChatJobs", "CRabbitMQ", "IOLoop", "Pipeline", "RabbitMQ", logging]),
        tests(of: "Redis", uses: ["IOLoop", logging]),
        tests(of: "HTTP", uses: ["IOLoop", "CZlib", logging]),
        tests(of: "Telemetry", uses: ["JSON", logging, metrics]),
        tests(of: "Retrieval", uses: ["ChatJobs", "JSON", "HTTP", "IOLoop", "CHNSW", logging]),
        tests(of: "Generation", uses: ["ChatJobs", "JSON", "HTTP", "IOLoop", logging]),
        tests(of: "Settings"),
        tests(of: "Adapters", uses: ["ChatJobs", "IOLoop", "Pipeline", "Redis", "Topology", logging]),
        tests(of: "Operations", uses: ["ChatJobs", "JSON", "RabbitMQ", "Topology", "IOLoop", logging]),
        // The contract from outside: the built program, real servers.
        .testTarget(
            name: "ContractTests",
            dependencies: [
                "parley", "ParleyClient", "RabbitMQ", "Redis", "Topology", "IOLoop", "JSON", "CZlib", logging,
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
