import ParleyHTTP
import Testing

@testable import Retrieval

@Suite struct ErrorAnswerTests {
    @Test(
        arguments: [
            (
                #"{"error":{"message":"no such model","type":"invalid_request_error","code":"model_not_found"}}"#,
                "model_not_found"
            ),
            (#"{"error":{"message":"x","type":"exceed_context_size_error","code":400}}"#, "exceed_context_size_error"),
            (#"[{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}]"#, "RESOURCE_EXHAUSTED"),
            (#"{"error":"NotFoundError","message":"Collection [docs] does not exist"}"#, "NotFoundError"),
            (#"{"code":"InvalidParameter","message":"x"}"#, "InvalidParameter"),
            (#"{"error":"`inputs` must not be empty","error_type":"Validation"}"#, "Validation"),
            (#"{"detail":[{"loc":["body","input"],"msg":"x","type":"string_type"}]}"#, "string_type"),
            (#"{"error":{"message":"x","code":"what is my parcel doing?"}}"#, nil),
            (#"{"error":{"message":"x","code":"4711"}}"#, nil), (#"{"error":"a sentence of its own"}"#, nil),
            ("<html>502 Bad Gateway</html>", nil), ("", nil), ("[]", nil), ("[1]", nil), ("null", nil),
        ] as [(String, String?)])
    func onlyAShortWordOfTheServicesIsItsCode(_ body: String, _ code: String?) {
        #expect(ErrorAnswer(Array(body.utf8)).code == code)
    }

    @Test func whatAServiceSaysMovesNoTerminal() {
        let body = Array("{\"error\":{\"message\":\"bad \\u001b]52;c;aGk=\\u0007 \\u202e input\\n here\"}}".utf8)
        #expect(ErrorAnswer(body).words == "bad ]52;c;aGk= input here")
        #expect(ErrorAnswer(Array("\u{1b}[2Jraw".utf8)).words == "[2Jraw")
    }

    @Test func aCodeThatStandsInAQuestionIsNotPassedOn() {
        let body = Array(#"{"error":{"message":"bad input","code":"Secret-Order-4711","type":"invalid_input"}}"#.utf8)
        #expect(ErrorAnswer(body).code == "Secret-Order-4711")
        #expect(ErrorAnswer(body, asked: ["x", "where is secret-order-4711?"]).code == "invalid_input")
    }

    @Test(arguments: [
        "This model's maximum context length is 8192 tokens, however you requested 9000 tokens",
        "request (3031 tokens) exceeds the available context size (2048 tokens), try increasing it",
        "input is too large to process. increase the physical batch size",
        "`inputs` must have less than 512 tokens. Given: 1500", "the input length exceeds the context length",
        "Range of input length should be [1, 8192]", "The example at index 0 in your batch has too many tokens",
        "too many tokens: total number of tokens in the prompt cannot exceed 512",
    ])
    func manyWordsForTooLongAreUnderstood(_ words: String) {
        #expect(ErrorAnswer(Array(#"{"error":{"message":"\#(words)"}}"#.utf8)).saysTooLong())
    }

    @Test(arguments: [
        "batch size is invalid, it should not be larger than 10", "invalid JSON", "input must be a string",
    ])
    func otherRefusalsAreNotAboutLength(_ words: String) {
        #expect(!ErrorAnswer(Array(#"{"error":{"message":"\#(words)"}}"#.utf8)).saysTooLong())
    }

    @Test func whatWasAskedSaysNothingOfTheService() {
        let body = Array(#"{"error":{"message":"cannot embed: why is my model not found, or no model loaded?"}}"#.utf8)
        #expect(ErrorAnswer(body).deniesEveryone && ErrorAnswer(body).saysNotReady)
        let asked = ErrorAnswer(body, asked: ["Why is my model not found, or no model loaded?"])
        #expect(!asked.deniesEveryone && !asked.saysNotReady)
    }
}
