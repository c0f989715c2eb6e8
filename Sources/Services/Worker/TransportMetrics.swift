import Metrics
import ParleyHTTP
import ParleyPrimitives
import Telemetry

extension HTTPWaiting {
    /// Requests to `service` that wait for a connection, as metrics.
    init(service: String) {
        let dimensions = [("service", service)]
        let waiting = Gauge(label: "parley_http_waiting", dimensions: dimensions)
        let waits = Timer(label: "parley_http_wait_seconds", dimensions: dimensions)
        self.init(
            changed: { waiting.record($0) },
            ended: { waits.recordNanoseconds($0.wholeNanoseconds) })
    }
}

/// Says what the transports' metrics mean.
func describeTransports(in registry: MetricsRegistry) {
    registry.describe(
        "parley_loop_lag_seconds",
        "How long the turns of the I/O loop took: a heartbeat, a timer or an answer that came meanwhile waited so long."
    )
    registry.describe("parley_http_waiting", "Requests that wait for a connection to the service.")
    registry.describe(
        "parley_http_wait_seconds", "How long those requests waited for a connection that had to; others do not count.")
}
