import Testing

@testable import Answering

@Suite struct RankTests {
    @Test func priorityThenDeadlineThenArrival() {
        let ranks = [
            Rank(priority: 9, deadline: 1, arrival: 5), Rank(priority: 9, deadline: 2, arrival: 1),
            Rank(priority: 9, deadline: .max, arrival: 1), Rank(priority: 9, deadline: .max, arrival: 2),
            Rank(priority: 4, deadline: 0, arrival: 0), Rank(priority: 0, deadline: 0, arrival: 0),
        ]
        #expect(ranks.reversed().sorted() == ranks)
    }
}
