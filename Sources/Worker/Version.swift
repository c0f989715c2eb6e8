/// Parley's version (semantic versioning).
public let parleyVersion = "0.1.0"
