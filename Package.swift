// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.swiftLanguageMode(.v6)]

let package = Package(
    name: "parley",
    dependencies: [
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
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
        .target(
            name: "Settings",
            dependencies: [
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Yams", package: "Yams"),
                .product(name: "SystemPackage", package: "swift-system"),
            ], swiftSettings: strict),

        .testTarget(name: "SettingsTests", dependencies: ["Settings"], swiftSettings: strict),
        .testTarget(name: "IOLoopTests", dependencies: ["IOLoop", "CEpoll"], swiftSettings: strict),
        .testTarget(name: "JSONTests", dependencies: ["JSON"], swiftSettings: strict),
    ]
)
