import ParleyJSON
import Retrieval

/// What `parley evaluate` prints.
enum EvaluationText {
    static func json(_ evaluation: Evaluation, compared: Evaluation?) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            write(evaluation, to: &json)
            guard let compared else { return }
            json.key("compared")
            json.object { write(compared, to: &$0) }
        }
        return json.bytes
    }

    private static func write(_ evaluation: Evaluation, to json: inout JSONWriter) {
        write(evaluation.all, to: &json)
        for (name, groups) in [("by_language", evaluation.byLanguage), ("by_agent", evaluation.byAgent)] {
            json.key(named: name)
            json.object { json in
                for (name, figures) in groups.sorted(by: { $0.key < $1.key }) {
                    json.key(named: name)
                    json.object { write(figures, to: &$0) }
                }
            }
        }
    }

    private static func write(_ figures: Evaluation.Figures, to json: inout JSONWriter) {
        json.member("questions", figures.questions)
        json.member("answerable", figures.answerable)
        json.member("unanswerable", figures.unanswerable)
        let shares = [
            ("hit_at_1", figures.hitAt1), ("hit_at_4", figures.hitAt4), ("hit_at_10", figures.hitAt10),
            ("mrr", figures.meanReciprocalRank), ("nothing_found", figures.nothingFound),
        ]
        for (name, share) in shares {
            json.key(named: name)
            if let share { json.rounded(share) } else { json.null() }
        }
    }

    /// A row for all, for each language, for each agent; of a second evaluation the columns follow those of the first.
    static func table(_ evaluations: [Evaluation]) -> [String] {
        let columns = ["at 1", "at 4", "at 10", "MRR", "nothing found"]
        var table = [["", "questions"] + evaluations.flatMap { _ in columns }]
        if evaluations.count > 1 {
            table.insert(["", ""] + ["first"] + columns.dropFirst().map { _ in "" } + ["second"], at: 0)
            table[0] += columns.dropFirst().map { _ in "" }
        }
        func row(_ name: String, _ figures: [Evaluation.Figures]) {
            table.append([name, "\(figures[0].questions)"] + figures.flatMap(cells))
        }
        row("all", evaluations.map(\.all))
        for groups in [evaluations.map(\.byLanguage), evaluations.map(\.byAgent)] {
            for name in groups[0].keys.sorted() {
                row(oneLine(name), groups.map { $0[name] ?? .init() })
            }
        }
        let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        return table.map { line in
            line.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }.joined(separator: "  ")
        }
    }

    private static func cells(_ figures: Evaluation.Figures) -> [String] {
        func percent(_ share: Double?) -> String { share.map { "\(rounded(100 * $0, decimals: 0)) %" } ?? "–" }
        return [
            percent(figures.hitAt1), percent(figures.hitAt4), percent(figures.hitAt10),
            figures.meanReciprocalRank.map { rounded($0) } ?? "–", percent(figures.nothingFound),
        ]
    }
}
