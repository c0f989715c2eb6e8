/// What the words and codes of a server's error speak of. Servers agree on little else.
struct ErrorClues {
    /// In lower case.
    let words: String
    let codes: [String]

    init(_ error: ServerError) {
        words = error.message.lowercased()
        codes = error.codes
    }

    private func says(_ phrases: [String]) -> Bool { phrases.contains { words.contains($0) } }
    private func has(_ known: Set<String>) -> Bool { codes.contains { known.contains($0) } }

    var isTooLong: Bool {
        if has([
            "context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "request_too_large",
            "tokens_limit_reached", "model_max_prompt_tokens_exceeded", "contextwindowexceedederror",
            "context_window_exceeded", "prompt_too_long", "input_too_long", "40303",  // FastChat
            "1261",  // Zhipu
        ]) {
            return true
        }
        if says([
            "context length", "context_length", "contextlength", "context window", "context_window", "contextwindow",
            "context size", "context_size", "context limit", "context is full", "context overflow", "max context",
            "maximum context", "exceeds the context", "exceeds context", "exceed context", "maximum model length",
            "max_model_len", "max model len", "prompt is too long", "prompt too long", "input is too long",
            "input too long", "inputs is too long", "prompt is too large", "tokens too long",
            "request too large", "request is too large", "reduce the length", "reduce your message size",
            "reduce your prompt", "reduce the prompt", "shorten your", "tokens must be reduced", "string too long",
            "max_new_tokens` must be", "inputs tokens + ", "`inputs` must have less than", "input length",
            "prompt length", "session_len", "max_seq_len", "model token limit", "超长",
            // vLLM: what is left of the context for the answer.
            "must be at least 1, got -",
            "exceeds max length", "exceeds the max length", "exceeds the maximum length",
            "maximum number of tokens allowed",
            "exceeds the maximum number of tokens", "max message tokens", "exceeds the token limit",
            "exceeds token limit", "exceeded the token limit", "exceeds the limit of tokens", "超过最大长度", "最大长度限制",
            "上下文长度", "输入过长",
        ]) {
            return true
        }
        // AWS says the same of too many tokens in a minute.
        if words.contains("too many tokens"), !says(["please wait", "try again", "throttl"]) { return true }
        // llama.cpp and others, in other orders of words.
        return words.contains("context") && !isGoContext && says(["exceed", "too long", "too large", "longer than"])
    }

    /// Of a prompt or its tokens, in whatever words.
    var seemsTooLong: Bool {
        says(["prompt", "input", "messages"]) && words.contains("token")
            && says(["exceed", "too long", "too large", "longer than", "greater than", "larger than", "too many"])
            && !says(["per minute", "per day", "per month", "daily", "rate limit", "quota", "throttl", "token bucket"])
            && !words.contains("max_tokens") && !words.contains("max_completion_tokens")
    }

    /// Go's `context deadline exceeded` is no prompt's fault.
    private var isGoContext: Bool { says(["context deadline", "context canceled", "context cancelled"]) }

    func isLimit(status: Int?) -> Bool {
        if has([
            "rate_limit_exceeded", "rate_limit_error", "rate_limit_reached", "rate_limit", "rate_limited",
            "ratelimiterror", "ratelimitexceeded", "insufficient_quota", "quota_exceeded",
            "exceeded_current_quota_error",
            "resource_exhausted", "too_many_requests", "toomanyrequests", "throttlingexception", "throttling",
            "throttling.ratequota", "throttling.allocationquota", "requests_limit", "engine_overloaded_error",
            "limit_requests",
            "1302", "1303", "1305",  // Zhipu
        ]) {
            return true
        }
        switch status {
        case nil, 400?, 402?, 403?, 500?, 503?:
            return says([
                "rate limit", "rate-limit", "ratelimit", "rate_limit", "too many requests", "too many concurrent",
                "quota",
                "throttl", "requests per minute", "requests per second", "tokens per minute", "concurrency limit",
                "请求过于频繁", "频率", "限流", "速率限制",
            ])
        default: return false
        }
    }

    var isKeyCode: Bool {
        has([
            "invalid_api_key", "api_key_invalid", "incorrect_api_key", "authentication_error", "invalid_authentication",
            "invalid_authentication_error", "authenticationerror", "unauthenticated", "unauthorized", "autherror",
            "auth_error", "invalid_token", "invalidapikey", "missing_api_key", "401",
        ])
    }

    var isAboutKey: Bool {
        says([
            "api key", "api_key", "api-key", "apikey", "access key", "access token", "auth token", "authentication",
            "authenticate", "authorization header", "credential", "unauthorized", "bearer", "invalid token",
            "token is invalid",
            "token has expired", "token expired", "subscription key", "security token", "令牌",
            "密钥",
        ])
    }

    var isAboutMoney: Bool {
        has([
            "insufficient_balance", "insufficient_credits", "insufficient_funds", "arrearage", "payment_required",
            "billing_not_active", "billing_hard_limit_reached", "billing_error", "budget_exceeded",
        ])
            || says([
                "insufficient balance", "insufficient credit", "insufficient account balance", "insufficient funds",
                "credit balance", "not enough credit", "more credits", "payment required", "spending limit",
                "budget has been exceeded", "budget exceeded",
                "余额不足", "欠费",
            ])
    }

    /// An account's rights rather than this request.
    var isAboutRights: Bool {
        has(["permission_denied", "unsupported_country_region_territory", "accessdenied", "access_denied"])
            || says([
                "access denied", "permission", "forbidden", "firewall", "virtual network", "country", "region",
                "user location", "not been used in project", "account", "subscription", "ip address",
            ])
    }

    /// From where it is asked, whoever asks.
    var isAboutPlace: Bool {
        has(["unsupported_country_region_territory"]) || says(["user location is not supported"])
    }

    var isFiltered: Bool {
        has([
            "content_filter", "content_policy_violation", "responsibleaipolicyviolation", "data_inspection_failed",
            "datainspectionfailed", "content_moderation", "moderation", "sensitive_content",
            "1301", "1026", "1027",  // Zhipu, MiniMax
        ])
            || says([
                "content management policy", "content policy", "content filter", "content_filter", "safety system",
                "inappropriate content", "content exists risk", "input was flagged", "prompt was flagged",
                "moderation and your", "敏感", "不安全",
            ])
    }

    var isOverload: Bool {
        isNotReady
            || has([
                "overloaded_error", "overloaded", "engine_overloaded", "unavailable", "unavailable_error",
                "service_unavailable", "serviceunavailable", "service_unavailable_error", "serviceunavailableerror",
                "502",
                "503", "504", "529",
            ])
            || says([
                "overloaded", "over capacity", "at capacity", "server is busy", "server busy", "system is busy",
                "service unavailable",
                "temporarily unavailable", "capacity exceeded", "capacity_exceeded",
                "bad gateway", "gateway timeout", "gateway time-out", "upstream connect error", "no healthy upstream",
                "服务繁忙", "系统繁忙",
            ])
    }

    /// There is such a model, and it does not run yet.
    var isNotReady: Bool {
        says([
            "no models loaded", "no model loaded", "no model is loaded", "no model is currently loaded",
            "model is not loaded", "model not loaded", "model unloaded", "model has been unloaded",
            "model is not ready", "model not ready", "model is loading", "currently loading", "loading model",
        ])
    }

    /// LM Studio says so with a 200.
    var isAboutPath: Bool { says(["unexpected endpoint", "unknown endpoint", "no such endpoint"]) }

    var isAboutModel: Bool {
        if has(["model_not_found", "model_not_available", "deploymentnotfound", "modelnotfound", "invalid_model"]) {
            return true
        }
        if says(["no endpoints found", "no allowed providers", "no available providers", "no providers"]) {
            return true
        }
        return says(["model", "deployment", "function '"])
            && says([
                "not found", "not exist", "no such", "not available", "not supported", "unknown", "invalid",
                "no access",
                "deprecated", "decommissioned", "discontinued", "end of life", "end-of-life", "no longer", "retired",
                "不存在",
            ])
    }

    /// What is behind a 200 without a status of its own.
    var isBadRequest: Bool {
        has([
            "invalid_request_error", "invalid_argument", "invalidparameter", "invalid_parameter_error",
            "invalid_parameter", "badrequesterror", "bad_request", "bad_request_error", "validation_error",
            "invalid_request", "unprocessable_entity", "unsupported_parameter", "unsupported_value",
        ])
    }

    /// A parameter's name or value is not taken.
    var isUnsupported: Bool {
        has([
            "unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden",
            "unsupportedparamserror",
        ])
            || says([
                "unsupported", "not support", "unknown", "unrecognized", "unrecognised", "unexpected", "extra inputs",
                "extra fields", "extra input", "not permitted", "not allowed", "not available", "no longer",
                "deprecated", "not implemented",
                "only the default", "invalid parameter", "no such", "additional properties", "cannot be used",
                "can not be used", "must be set to", "不支持",
            ])
    }
}
