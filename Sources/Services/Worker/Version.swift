/// Parley's version (semantic versioning).
package let parleyVersion = "0.1.0"
