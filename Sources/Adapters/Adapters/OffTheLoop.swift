/// Runs what computes for more than some tens of microseconds on the global pool.
///
/// The pipeline's tasks prefer the I/O loop, and so do the `@concurrent` functions they call; embedding and scoring there
/// would hold up every socket.
func offTheLoop<T: Sendable, Failure: Error>(
    _ body: @concurrent @Sendable () async throws(Failure) -> T
) async throws(Failure) -> T {
    let result: Result<T, Failure> = await withTaskExecutorPreference(globalConcurrentExecutor) {
        do throws(Failure) {
            return .success(try await body())
        } catch {
            return .failure(error)
        }
    }
    return try result.get()
}
