import ParleyRedis

// Scripts read with `MGET` and not `GET`, because a key of another type must not be an error.

/// The scripts that read and write claims.
enum ClaimScripts {
    /// `read`: the token, starts, losses, mark and fingerprint of a claim's text; nothing when it is no claim. `write`: the
    /// reverse. `put` and `extend` never shorten a claim's life: while a result is there, its claim says whose the id is.
    private static let claimText =
        """
        local function read(held)
          local token, starts, losses, mark, job = string.match(held, '^(%S*) (%d+) (%d+) ([-gapqsfer]) (%x+)$')
          if not token or #starts > 9 or #losses > 9 then return end
          return token, starts + 0, losses + 0, mark, job
        end

        local function write(token, starts, losses, mark, job)
          return token .. ' ' .. starts .. ' ' .. losses .. ' ' .. mark .. ' ' .. job
        end

        local function isOfAnother(held, job)
          local token, _, _, _, bound = read(held)
          -- What follows says whose it is, and earlier versions have not written it.
          return token and string.sub(bound, 1, 32) ~= string.sub(job, 1, 32)
        end

        local function put(key, text, life)
          redis.call('SET', key, text, 'PX', math.max(life, redis.call('PTTL', key)))
        end

        local function extend(key, life)
          if redis.call('PTTL', key) < tonumber(life) then redis.call('PEXPIRE', key, life) end
        end

        """

    /// Keys: of n jobs the results, the revocations, the claims; then this worker's. Arguments: this worker's token, the
    /// prefix of workers' keys, the lives of a claim and of a worker's key in milliseconds, `anew` or nothing, the mark
    /// `g` or `-`, from how many losses on a job is a suspect that is not begun (nothing: none is), then the jobs'
    /// fingerprints.
    ///
    /// For each job: its result; 0 revoked; -1 elsewhere; -2 the id belongs to another job; 1 claimed for the first time;
    /// {starts, losses, 1 when it must be alone} claimed.
    ///
    /// The worker's own key is seen to first, so that no claim is ever taken for a dead worker's before that worker has
    /// shown its first sign of life. Other workers' keys are not among KEYS: right on a single server, not in a cluster.
    ///
    /// It is on every job's way: where nothing is known of a job it costs a third of an `MGET` and one `SET`.
    static let begin = RedisScript(
        claimText + ResultScripts.succeeded + """
            local call = redis.call
            local worker, prefix, life, group = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
            local suspects = tonumber(ARGV[7]) or math.huge
            local count = (#KEYS - 1) / 3
            call('SET', KEYS[#KEYS], '{}', 'NX', 'PX', ARGV[4])

            local signs = {}
            local function sign_of(token)
              -- Nothing: dead. The empty string: left in good order.
              if signs[token] == nil then signs[token] = call('GET', prefix .. token) or false end
              return signs[token]
            end

            local function claim(key, held, job)
              local token, starts, losses, mark = read(held)
              if not token then token, starts, losses, mark = '', 0, 0, '-' end
              local own = token == worker
              local pending = mark == 'p' or mark == 'q'
              if not own then
                local sign = token ~= '' and sign_of(token)
                if sign and sign ~= '' then return -1 end
                if token ~= '' and not sign and not pending then
                  if mark == 'g' then mark = 'a' else losses = losses + 1 end
                end
                if token == '' or not pending then starts = starts + 1 end
              end
              local alone = mark == 'a' or mark == 'q'
              local now = alone and 'a' or group
              if losses >= suspects then now = alone and 'q' or 'p' end
              if not own or now ~= mark then
                put(key, write(worker, starts, losses, now, job), life)
              end
              return {starts, losses, alone and 1 or 0}
            end

            local known = call('MGET', unpack(KEYS, 1, 3 * count))
            local first = write(worker, 1, 0, group, '')
            local standings, begun = {}, {}
            for i = 1, count do
              local key, job = KEYS[2 * count + i], ARGV[7 + i]
              local held = begun[key] or known[2 * count + i]
              if held and isOfAnother(held, job) then
                standings[i] = -2
              elseif known[i] and (ARGV[5] ~= 'anew' or succeeded(known[i])) then
                standings[i] = known[i]
              elseif known[count + i] then
                standings[i] = 0
              elseif held then
                standings[i] = claim(key, held, job)
              else
                begun[key] = first .. job
                call('SET', key, begun[key], 'PX', life)
                standings[i] = 1
              end
            end
            return standings
            """)

    /// Keys: claims. Arguments: this worker's token, the life of a claim. How many are this worker's.
    static let renew = RedisScript(
        claimText + """
            local mine, renewed = ARGV[1] .. ' ', 0
            for i, held in ipairs(redis.call('MGET', unpack(KEYS))) do
              if held and string.sub(held, 1, #mine) == mine then
                extend(KEYS[i], ARGV[2])
                renewed = renewed + 1
              end
            end
            return renewed
            """)

    /// Key: the claim. Arguments: this worker's token, the starts to keep, the life of a claim.
    static let release = RedisScript(
        claimText + """
            local token, _, losses, mark, job = read(redis.call('MGET', KEYS[1])[1] or '')
            if token ~= ARGV[1] then return 0 end
            if mark == 'g' or mark == 'p' then mark = '-' elseif mark == 'q' then mark = 'a' end
            put(KEYS[1], write('', ARGV[2], losses, mark, job), ARGV[3])
            return 1
            """)

    /// Keys: the result, the claim, and of an answer the day's ledger. Arguments: the reply, its life, this worker's token, the
    /// job's fingerprint (nothing when the message was no job), the letter of the reply's status; then what the ledger notes
    /// (`Account.add(to:closingIn:)`).
    ///
    /// Nothing: the reply is kept. -2: the id belongs to another job. A stored reply that succeeded: that one stays.
    ///
    /// The claim says whose the id is for as long as a reply is there, and a minute more: no other job may find the one
    /// without the other. It is nobody's then, unless another worker has taken it over: then it protects that one's work.
    static let store = RedisScript(
        claimText + ledger + ResultScripts.succeeded + """
            local known = redis.call('MGET', KEYS[1], KEYS[2])
            local stored, held, job = known[1], known[2], ARGV[4]
            if held and isOfAnother(held, job) then
              if KEYS[3] then note(KEYS[3], 6, true) end
              return -2
            end
            local stays = stored and succeeded(stored)
            if not stays then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
            -- The very same has been stored before, and the worker was not told.
            if KEYS[3] and stored ~= ARGV[1] then note(KEYS[3], 6, stays) end
            if job ~= '' then
              local life = redis.call('PTTL', KEYS[1]) + 60000
              local token = held and read(held)
              if token and token ~= '' and token ~= ARGV[3] then
                extend(KEYS[2], life)
              else
                put(KEYS[2], write('', 0, 0, stays and 's' or ARGV[5], job), life)
              end
            end
            return stays and stored or false
            """)

    /// `note`: adds what the arguments from one on count (`Account.add(to:closingIn:)`) to a day's ledger; only what was spent,
    /// when the answer is not the one that stays.
    private static let ledger =
        CallScripts.lose + """
            -- A call that was noted as lost, since its worker was taken for dead, is not noted twice.
            local function close(calls, number, days, from)
              if redis.pcall('HDEL', calls, number) == 1 then return end
              local lost = redis.pcall('HGET', calls .. ':lost', number)
              if type(lost) == 'string' and redis.pcall('HDEL', calls .. ':lost', number) == 1 then
                lose(lost, '-', days, ARGV[from + 1], tonumber(ARGV[from + 2]), ARGV[#ARGV])
              end
            end

            local function note(key, from, isSecond)
              -- Whatever is there instead of a ledger, or beyond what is counted, holds up no answer: pcall.
              local whose, known = ARGV[from], redis.pcall('HLEN', key)
              if type(known) == 'number' and known >= tonumber(ARGV[from + 2]) then whose = ARGV[from + 1] end
              local calls
              for i = from + 3, #ARGV - 1, 2 do
                local what = ARGV[i]
                if what == 'in' then
                  calls = ARGV[i + 1]
                elseif what == 'close' then
                  close(calls, ARGV[i + 1], string.sub(key, 1, -11), from)
                elseif not isSecond or what ~= 'answers' and what ~= 'reused' then
                  redis.pcall('HINCRBY', key, whose .. what, ARGV[i + 1])
                end
              end
              redis.call('PEXPIRE', key, ARGV[#ARGV])
            end

            """

    /// Key: the day's ledger. Arguments: what is noted.
    static let note = RedisScript(ledger + "note(KEYS[1], 1, false)")
}

/// The scripts that keep results.
enum ResultScripts {
    /// `succeeded`: whether a stored reply is a success. What Swift's JSON refuses is none: `cjson` as it comes reads NaN
    /// and deep nesting, and a "success" that nobody can read would be neither delivered nor replaced. A decoder of the
    /// script's own is configured, since the shared one is every script's.
    static let succeeded =
        """
        local function succeeded(reply)
          local json = cjson.new and cjson.new() or cjson
          if json ~= cjson then
            json.decode_invalid_numbers(false)
            json.decode_max_depth(64)
          end
          local readable, read = pcall(json.decode, reply)
          return readable and type(read) == 'table' and read.status == 'succeeded'
        end

        """

    /// Key: the result. Argument: what it must hold to be deleted.
    static let discard = RedisScript(
        """
        if redis.call('MGET', KEYS[1])[1] ~= ARGV[1] then return 0 end
        return redis.call('DEL', KEYS[1])
        """)
}
