extension String {
    /// How many bytes have to be changed, added or left out to make this into `other` (Levenshtein, 1966). For "did you mean".
    package func editDistance(to other: String) -> Int {
        let other = Array(other.utf8)
        var row = Array(0...other.count)
        for (i, x) in utf8.enumerated() {
            var previous = row[0]
            row[0] = i + 1
            for (j, y) in other.enumerated() {
                let substituted = previous + (x == y ? 0 : 1)
                previous = row[j + 1]
                row[j + 1] = Swift.min(substituted, row[j] + 1, previous + 1)
            }
        }
        return row[other.count]
    }
}
