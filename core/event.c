#include "core/event.h"

const char *const event_kind_names[EVENT_KIND_COUNT] = {
    [EVENT_RECORD] = "record",     [EVENT_RESERVE] = "reserve", [EVENT_SETTLE] = "settle",
    [EVENT_RELEASE] = "release",   [EVENT_REFUND] = "refund",   [EVENT_CORRECT] = "correct",
    [EVENT_DECISION] = "decision", [EVENT_TOPUP] = "topup",     [EVENT_GAUGE] = "gauge",
    [EVENT_VALUE] = "value",
};

const char *const event_status_names[STATUS_COUNT] = {
    [STATUS_SUCCEEDED] = "succeeded",
    [STATUS_FAILED] = "failed",
    [STATUS_CANCELLED] = "cancelled",
    [STATUS_PARTIAL] = "partial",
};

const char *const usage_names[USAGE_COUNT] = {
    [USAGE_REQUESTS] = "requests",
    [USAGE_INPUT_TOKENS] = "input_tokens",
    [USAGE_CACHE_READ_TOKENS] = "cache_read_tokens",
    [USAGE_CACHE_WRITE_TOKENS] = "cache_write_tokens",
    [USAGE_OUTPUT_TOKENS] = "output_tokens",
    [USAGE_REASONING_TOKENS] = "reasoning_tokens",
    [USAGE_IMAGES] = "images",
    [USAGE_AUDIO_MS] = "audio_ms",
    [USAGE_BYTES] = "bytes",
};

const char *const event_name_members[NAME_COUNT] = {
    [NAME_REQUEST_ID] = "request_id",
    [NAME_FEATURE] = "feature",
    [NAME_PROJECT] = "project",
    [NAME_WORKSPACE] = "workspace",
    [NAME_API_KEY_ID] = "api_key_id",
    [NAME_USER] = "user",
    [NAME_CLIENT_IP] = "client_ip",
    [NAME_REGION] = "region",
    [NAME_ROUTE] = "route",
    [NAME_PLAN] = "plan",
    [NAME_PROVIDER] = "provider",
    [NAME_MODEL] = "model",
    [NAME_MODEL_REQUESTED] = "model_requested",
    [NAME_OPERATION] = "operation",
    [NAME_CURRENCY] = "currency",
};

const char *const dead_names[DEAD_COUNT] = {
#define DEAD(name, retryable, what) [DEAD_##name] = #name,
#include "core/dead.def"
#undef DEAD
};

const char *const dead_texts[DEAD_COUNT] = {
#define DEAD(name, retryable, what) [DEAD_##name] = (what),
#include "core/dead.def"
#undef DEAD
};

const bool dead_retryable[DEAD_COUNT] = {
#define DEAD(name, retryable, what) [DEAD_##name] = (retryable),
#include "core/dead.def"
#undef DEAD
};
