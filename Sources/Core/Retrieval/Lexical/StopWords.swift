/// Words of grammar and small talk, which say little about what a question is about.
enum StopWords {
    /// Hashes of English words, written without apostrophes.
    static let words = Set(english.split(whereSeparator: \.isWhitespace).map { TextTerms.wordHash(String($0)) })

    /// Scalars of common Chinese function characters.
    static let characters = Set(chinese.unicodeScalars.map(\.value))

    private static let english = """
        a about after again all also am an and any are as at be because been before being below between both but by can
        cannot cant come could did do does doing done dont each few for from further get go going gone got had has have
        he hello her here hers hi him his how however i if im in into is it its ive just let lets like ll many may
        maybe me might more most much must my myself need needs new no not now of off ok on once one only or other
        ought our ours out over own per please put rather really said same say says see shall she should since so some
        still such sure take tell than thank thanks that thats the their theirs them then there these they thing things
        think this those through to too under until up us use used using very want wanted wants was way we well went
        were what whats when where wheres which while who whom why will with would yes yet you your yours
        """

    private static let chinese =
        "的了吗呢吧啊我你您他她它们这那是在有和就都也还要不个把被给到能会可以怎么什请之与而及或但因为所如果从对于此些样哪几多少没去来上下里啦嘛呀哦哈想让做时候后前着过得地又再很太真"
}
