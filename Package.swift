// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.swiftLanguageMode(.v6)]

let package = Package(
    name: "parley",
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    ],
    targets: [
        // Floor 1: the loop, the contract as types, and the module maps.
        .systemLibrary(name: "CEpoll"),
        .systemLibrary(name: "CZlib"),
        .target(
            name: "IOLoop", dependencies: ["CEpoll", .product(name: "HeapModule", package: "swift-collections")],
            swiftSettings: strict),
        .target(name: "JSON", swiftSettings: strict),
        .target(name: "ChatJobs", dependencies: ["JSON"], swiftSettings: strict),

        // Floor 3: what happens to a job, without a socket in sight.
        .target(
            name: "Pipeline",
            dependencies: [
                "ChatJobs", .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"), .product(name: "Metrics", package: "swift-metrics"),
            ], swiftSettings: strict),

        .testTarget(name: "IOLoopTests", dependencies: ["IOLoop", "CEpoll"], swiftSettings: strict),
        .testTarget(name: "JSONTests", dependencies: ["JSON"], swiftSettings: strict),
    ]
)
