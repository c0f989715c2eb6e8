import ChatJobs
import ParleyPrimitives
import ParleyRedis
import Pipeline
import Topology

/// The questions of a day and how often each was asked, in a sorted set of bounded size: when it is full, a new question
/// takes the place of the one asked least, and its count with it (Space-Saving: Metwally, Agrawal and El Abbadi, 2005). So no
/// count is too low, none is too high by more than questions divided by places, and what is asked often is there.
package struct RedisQuestions: QuestionLog {
    /// How long a day's questions are kept.
    package static let days = 8

    let redis: RedisClient
    let keys: RedisKeys
    /// The most questions of a day.
    let places: Int64
    /// Whom a user's questions belong to is kept for so many; what could not be forgotten is not recorded.
    let askers: Int64

    package init(redis: RedisClient, keys: RedisKeys, places: Int64 = 10_000, askers: Int64 = 200_000) {
        self.redis = redis
        self.keys = keys
        self.places = places
        self.askers = askers
    }

    package func record(_ questions: [RecordedQuestion]) async {
        let day = String(SystemClock().wall.rfc3339.prefix(10))
        for some in questions.chunked(by: RedisResults.keysAtOnce) {
            var arguments: [RedisCommand.Argument] = [
                .number(places), .number(askers), .number(Int64(Self.days) * 86_400_000),
            ]
            for question in some {
                var asker = ""
                if let user = question.userID {
                    guard let known = RecordedAsker(user: user, question: question.body) else { continue }
                    asker = known.text
                }
                arguments.append(.bytes(question.body))
                arguments.append(.text(asker))
            }
            _ = try? await redis.send(
                RedisCommand(
                    script: Self.record, keys: [keys.questions(day), keys.askers(day)], arguments: arguments))
        }
    }

    /// Keys: the day's questions, its askers. Arguments: the most of each, how long they are kept in milliseconds; then each
    /// question and its asker, nothing where that is not known.
    private static let record = RedisScript(
        """
        local call = redis.call
        local places, askers, life = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
        for i = 4, #ARGV, 2 do
          local question, asker = ARGV[i], ARGV[i + 1]
          local is_kept = true
          if asker ~= '' and call('HEXISTS', KEYS[2], asker) == 0 then
            is_kept = call('HLEN', KEYS[2]) < askers
            if is_kept then call('HSET', KEYS[2], asker, '') end
          end
          if is_kept then
            if call('ZSCORE', KEYS[1], question) or call('ZCARD', KEYS[1]) < places then
              call('ZINCRBY', KEYS[1], 1, question)
            else
              local least = call('ZPOPMIN', KEYS[1])
              call('ZADD', KEYS[1], least[2] + 1, question)
            end
          end
        end
        for _, key in ipairs(KEYS) do call('PEXPIRE', key, life) end
        """)
}
