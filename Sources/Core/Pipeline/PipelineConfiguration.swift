import Answering

/// The pipeline's own settings; names as in the configuration file.
package struct PipelineConfiguration: Sendable {
    /// `worker.window`: the most jobs in one window. Default 64.
    package var window = 64
    /// `retry.*`.
    package var retry = RetryPolicy()
    /// How questions are answered.
    package var answering = AnsweringConfiguration()

    package init() {}
}
