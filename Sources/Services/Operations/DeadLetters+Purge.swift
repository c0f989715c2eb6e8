import ParleyRabbitMQ

extension DeadLetters {
    /// Removes the letters of the filter for good; every one when it is empty.
    /// - Parameter dryRun: only counts.
    package func purge(
        _ filter: LetterFilter, dryRun: Bool = false, progress: Progress = { _, _ in }
    ) async -> LetterSummary {
        let started = ContinuousClock.now
        let tally = Tally(LetterSummary(.purge, dryRun: dryRun))
        var problem: OperationError?
        do throws(OperationError) {
            try await connected { connection, loop throws(RabbitMQError) in
                guard let depth = try await depth(on: connection) else { return }
                if filter.isEmpty {
                    let count = dryRun ? depth : Int(try await connection.purge(queue))
                    return tally.update {
                        ($0.scanned, $0.matched, $0.done) = (count, count, dryRun ? 0 : count)
                    }
                }
                let scan = try await LetterScan(
                    connection, queue: queue, loop: loop, relay: relay, isInterrupted: isInterrupted)
                while let deliveries = try await scan.next(atMost: 512) {
                    let meant = deliveries.map { filter.matches(DeadLetter($0, relay: relay)) }
                    let matching = zip(deliveries, meant).filter(\.1).map(\.0)
                    let rest = dryRun ? deliveries : zip(deliveries, meant).filter { !$0.1 }.map(\.0)
                    if !dryRun { await scan.acknowledge(matching) }
                    await scan.keep(rest)
                    let scanned = await scan.scanned
                    tally.update {
                        $0.scanned = scanned
                        $0.matched += matching.count
                        $0.done += dryRun ? 0 : matching.count
                    }
                    progress(scanned, scan.depth)
                }
                tally.update { $0.isInterrupted = isInterrupted() }
                await scan.finish()
                let hadCompany = await scan.hadCompany
                tally.update { $0.hadCompany = hadCompany }
            }
        } catch {
            problem = error
        }
        var summary = tally.summary
        summary.problem = problem
        summary.seconds = (ContinuousClock.now - started) / .seconds(1)
        return summary
    }
}
