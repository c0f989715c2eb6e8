import ChatJobs

extension Pipeline {
    /// Looks which of the jobs in work have been revoked and stops them: the model's call is aborted.
    package func checkRevocations() async {
        let ids = flights.keys.sorted { $0.text < $1.text }
        guard !ids.isEmpty, let revoked = try? await results.revoked(among: ids) else { return }
        for id in revoked { revoke(id) }
    }

    func isRevoked(_ id: JobID) -> Bool { !revoked.isEmpty && revoked.contains(id) }

    private func revoke(_ id: JobID) {
        guard let flight = flights[id], revoked.insert(id).inserted else { return }
        if let task = flight.task { cancel(task) }
        withdrawModelWaiter(flight.arrival)
    }
}
