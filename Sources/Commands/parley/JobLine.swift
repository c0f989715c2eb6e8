import ParleyClient
import ParleyJSON

/// One line of `parley publish`: a job's body, with `priority` and `reply_to` beside its own members.
enum JobLine {
    struct Problem: Error {
        let message: String
    }

    /// Checks what publishing needs; the rest is the worker's to judge.
    static func message(
        _ line: [UInt8], replyTo: String?, priority: Int?
    ) throws(Problem) -> JobMessage {
        let root: JSONElement
        do throws(JSONError) { root = try JSONDocument(line).root } catch {
            throw Problem(message: "not JSON: \(error)")
        }
        guard root.kind == .object else { throw Problem(message: "a JSON object is needed") }
        let id: JobID
        if let member = root["id"], !member.isNull {
            guard let text = member.string, let given = JobID(text) else {
                throw Problem(
                    message:
                        "id is \(String(decoding: member.raw.prefix(80), as: UTF8.self)); allowed are \(JobID.rule)")
            }
            id = given
        } else {
            id = .random()
        }
        var message = JobMessage(id: id, body: line, priority: priority, replyTo: replyTo)
        if let member = root["priority"], !member.isNull {
            guard let given = member.int, (0...9).contains(given) else {
                throw Problem(
                    message: "priority is \(String(decoding: member.raw.prefix(80), as: UTF8.self)); 0 to 9 is allowed")
            }
            message.priority = given
        }
        if let member = root["reply_to"], !member.isNull {
            guard let queue = member.string, !queue.isEmpty, queue.utf8.count <= 255 else {
                throw Problem(message: "reply_to is no queue's name (a string of 1 to 255 bytes)")
            }
            message.replyTo = queue
        }
        return message
    }
}
