import Glibc
import ParleyJSON
import Testing

/// A locale that writes decimal commas, where the machine has one (`LOCPATH` may name a folder with it).
private func germany() -> locale_t? { newlocale(Int32(1 << LC_NUMERIC), "de_DE.UTF-8", nil) }

@Suite(.enabled(if: germany() != nil, "the locale de_DE.UTF-8 is not installed"))
struct JSONLocaleTests {
    @Test(arguments: ["0.5", "3.14159265358979323846", "1.5e-300", "123456789012345678901.25"])
    func numbersAreReadTheSameInEveryCountry(text: String) throws {
        let locale = try #require(germany())
        let before = uselocale(locale)
        defer {
            uselocale(before)
            freelocale(locale)
        }
        #expect(try JSONDocument(Array("[\(text)]".utf8)).root.elements.first?.double == Double(text))
    }
}
