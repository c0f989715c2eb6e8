// swift-tools-version: 6.2
import PackageDescription

// What the simulation is built of, and nothing else: scripts/simulate --mutants builds it dozens of times, in a copy.
let settings: [SwiftSetting] = [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")

func room(_ folder: String, _ name: String, _ uses: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: uses, path: "Sources/\(folder)/\(name)", swiftSettings: settings)
}

let package = Package(
    name: "parley",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    ],
    targets: [
        room("Basics", "ParleyPrimitives", []),
        room("Basics", "ParleyJSON", ["ParleyPrimitives"]),
        room("Basics", "ChatJobs", ["ParleyJSON", "ParleyPrimitives"]),
        .systemLibrary(name: "CCrypto", path: "Sources/Basics/CCrypto", pkgConfig: "libcrypto"),
        room("Basics", "ParleyDigest", ["CCrypto"]),
        room("Core", "Routing", ["ChatJobs", "ParleyDigest"]),
        room(
            "Core", "Answering",
            ["ChatJobs", "ParleyDigest", "ParleyJSON", "ParleyPrimitives", "Routing", deque, heap, logging, metrics]),
        room(
            "Core", "Pipeline",
            ["Answering", "ChatJobs", "ParleyDigest", "ParleyPrimitives", "Routing", deque, heap, logging, metrics]),
        room("Core", "PipelineTestKit", ["Answering", "Pipeline", "ChatJobs", heap, logging]),
        .executableTarget(
            name: "simulate",
            dependencies: ["PipelineTestKit", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Sources/Commands/simulate", swiftSettings: settings),
    ]
)
