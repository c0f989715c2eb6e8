/// What is said when the knowledge base does not hold the answer.
package enum NothingFound {
    static let english = "I could not find this in the knowledge base."
    static let chinese = "知识库中没有找到相关内容。"

    /// In the question's language: Chinese, or else English.
    package static func text(for question: String) -> String { Question.isChinese(question) ? chinese : english }
}
