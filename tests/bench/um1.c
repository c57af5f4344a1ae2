#include "tests/bench/um1.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DAY_MS  INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)
#define SPAN_MS (UM1_HOURS * HOUR_MS)
#define JITTER  2000
#define BURSTS  300
#define BURST   400 /* events from the start of a burst during which one in 8 belongs to it */

/* Nano-dollars a token: input, cached input, output. */
static const int64_t prices[8][3] = {
    {150, 75, 600},    {2500, 1250, 10000}, {1100, 550, 4400},  {400, 100, 1600},
    {2000, 500, 8000}, {100, 25, 400},      {3000, 300, 15000}, {800, 80, 4000},
};

/* splitmix64 */
static uint64_t
next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t
below(uint64_t *state, uint64_t bound)
{
    return ((next(state) >> 32) * bound) >> 32;
}

static void
draw_init(struct um1_draw *draw, uint32_t count, double exponent)
{
    double weight[UM1_TENANTS];
    uint32_t small[UM1_TENANTS] = {0};
    uint32_t large[UM1_TENANTS] = {0};
    uint32_t smalls = 0;
    uint32_t larges = 0;
    double sum = 0;

    draw->count = count;
    for (uint32_t i = 0; i < count; i++)
        sum += weight[i] = pow((double)i + 1, -exponent);
    for (uint32_t i = 0; i < count; i++) {
        weight[i] *= count / sum;
        draw->limit[i] = UINT32_MAX;
        draw->alias[i] = i;
        if (weight[i] < 1)
            small[smalls++] = i;
        else
            large[larges++] = i;
    }
    while (smalls > 0 && larges > 0) {
        const uint32_t low = small[--smalls];
        const uint32_t high = large[larges - 1];

        draw->limit[low] = (uint32_t)(weight[low] * UINT32_MAX);
        draw->alias[low] = high;
        weight[high] -= 1 - weight[low];
        if (weight[high] < 1) {
            larges--;
            small[smalls++] = high;
        }
    }
}

static int
draw(const struct um1_draw *from, uint64_t *state)
{
    const uint64_t bits = next(state);
    const uint32_t i = (uint32_t)(((bits >> 32) * from->count) >> 32);

    return (int)((uint32_t)bits <= from->limit[i] ? i : from->alias[i]);
}

void
um1_init(struct um1 *um1, uint64_t seed, int64_t records)
{
    um1->seed = seed;
    um1->records = records;
    draw_init(&um1->tenant, UM1_TENANTS, 1.0);
    draw_init(&um1->feature, UM1_FEATURES, 1.0);
    draw_init(&um1->key, UM1_KEYS, 0.8);
}

/* One feature of one tenant runs away for a while: many calls, each ten times as dear. */
static bool
burst(const struct um1 *um1, int64_t number, struct um1_event *event)
{
    const int64_t gap = um1->records / BURSTS + 1;
    uint64_t state = um1->seed ^ (uint64_t)(number / gap);

    if (number % gap >= BURST || number % 8 != 0)
        return false;
    event->tenant = (int)below(&state, UM1_TENANTS);
    event->feature = (int)below(&state, UM1_FEATURES);
    return true;
}

void
um1_make(const struct um1 *um1, int64_t number, struct um1_event *event)
{
    uint64_t state = um1->seed + (uint64_t)number * UINT64_C(0xd1342543de82ef95);
    int64_t at_ms = number * SPAN_MS / um1->records;

    *event = (struct um1_event){.number = number, .prefix = 't'};
    event->tenant = draw(&um1->tenant, &state);
    event->feature = draw(&um1->feature, &state);
    event->key = draw(&um1->key, &state);
    event->project = (int)below(&state, 3);
    event->model = (int)below(&state, 8);
    event->latency_ms = 80 + (int)below(&state, 4000);
    event->input_tokens = 100 + (int64_t)below(&state, 6000);
    event->cache_read_tokens = (int64_t)below(&state, (uint64_t)event->input_tokens);
    event->output_tokens = 20 + (int64_t)below(&state, 1500);
    event->noise[0] = next(&state);
    event->noise[1] = next(&state);
    at_ms += (int64_t)below(&state, 2 * JITTER + 1) - JITTER;
    at_ms = at_ms < 0 ? 0 : at_ms >= SPAN_MS ? SPAN_MS - 1 : at_ms;
    event->at_ms = UM1_START_MS + at_ms;
    event->cost_nano = (event->input_tokens - event->cache_read_tokens) * prices[event->model][0] +
                       event->cache_read_tokens * prices[event->model][1] +
                       event->output_tokens * prices[event->model][2];
    if (burst(um1, number, event))
        event->cost_nano *= 10;
}

void
um1_order_init(struct um1_order *order, const struct um1 *um1)
{
    order->um1 = um1;
    order->position = 0;
    order->fresh = 0;
    for (size_t i = 0; i < UM1_ORDER_ROOM; i++)
        order->again[i] = -1;
}

int64_t
um1_next(struct um1_order *order, bool *repeat)
{
    const size_t room = UM1_ORDER_ROOM;
    int64_t *due = &order->again[(size_t)order->position % room];
    const int64_t position = order->position++;
    int64_t number = *due;
    uint64_t state = ~order->um1->seed + (uint64_t)order->fresh * UINT64_C(0xa0761d6478bd642f);
    size_t at;

    *repeat = number >= 0;
    *due = -1;
    if (*repeat)
        return number;
    number = order->fresh++;
    if (below(&state, 100) != 0)
        return number;
    /* Where another repeat is due already, the next free position. */
    at = (size_t)position + 1 + (size_t)below(&state, UM1_AHEAD - 100);
    while (order->again[at % room] >= 0)
        at++;
    order->again[at % room] = number;
    return number;
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static char *
put(char *out, const char *text)
{
    while (*text != '\0')
        *out++ = *text++;
    return out;
}

/* At least `width` digits. */
static char *
put_number(char *out, uint64_t number, int width)
{
    char digits[24];
    int count = 0;

    while (number > 0 || count < width) {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    }
    while (count > 0)
        *out++ = digits[--count];
    return out;
}

static char *
put_hex(char *out, uint64_t number, int width)
{
    for (int i = width - 1; i >= 0; i--)
        *out++ = "0123456789abcdef"[number >> (4 * i) & 15];
    return out;
}

static char *
put_time(struct um1_writer *writer, char *out, int64_t at_ms)
{
    const uint64_t of_day = (uint64_t)(at_ms % DAY_MS);

    if (writer->date[0] == '\0' || writer->day != at_ms / DAY_MS) {
        const time_t at = (time_t)(at_ms / 1000);
        struct tm day;

        writer->day = at_ms / DAY_MS;
        if (gmtime_r(&at, &day) == NULL ||
            strftime(writer->date, sizeof writer->date, "%Y-%m-%dT", &day) == 0)
            abort();
    }
    out = put(out, writer->date);
    out = put_number(out, of_day / HOUR_MS, 2);
    *out++ = ':';
    out = put_number(out, of_day / 60000 % 60, 2);
    *out++ = ':';
    out = put_number(out, of_day / 1000 % 60, 2);
    *out++ = '.';
    out = put_number(out, of_day % 1000, 3);
    return put(out, "Z");
}

static char *
put_uuid(char *out, const uint64_t noise[2])
{
    out = put_hex(out, noise[0] >> 32, 8);
    *out++ = '-';
    out = put_hex(out, noise[0] >> 16, 4);
    out = put(out, "-4");
    out = put_hex(out, noise[0], 3);
    out = put(out, "-a");
    out = put_hex(out, noise[1] >> 48, 3);
    *out++ = '-';
    return put_hex(out, noise[1], 12);
}

static char *
put_address(char *out, uint64_t noise)
{
    out = put(out, "10.");
    out = put_number(out, noise & 255, 1);
    *out++ = '.';
    out = put_number(out, noise >> 8 & 255, 1);
    *out++ = '.';
    return put_number(out, noise >> 16 & 255, 1);
}

/* "t-17" */
static char *
put_name(char *out, char prefix, int number)
{
    *out++ = prefix;
    *out++ = '-';
    return put_number(out, (uint64_t)number, 1);
}

/* "k-17-3" */
static char *
put_pair(char *out, char prefix, int number, int part)
{
    out = put_name(out, prefix, number);
    *out++ = '-';
    return put_number(out, (uint64_t)part, 1);
}

static char *
put_data(char *out, const struct um1_event *event)
{
    out = put(out, ",\"data\":{\"request_id\":\"");
    out = put_uuid(out, event->noise);
    out = put(out, "\",\"feature\":\"");
    out = put_name(out, 'f', event->feature);
    out = put(out, "\",\"project\":\"");
    out = put_pair(out, 'p', event->tenant, event->project);
    out = put(out, "\",\"api_key_id\":\"");
    out = put_pair(out, 'k', event->tenant, event->key);
    out = put(out, "\",\"client_ip\":\"");
    out = put_address(out, event->noise[1]);
    out = put(out, "\",\"provider\":\"openai\",\"model\":\"");
    out = put_name(out, 'm', event->model);
    out = put(out, "\",\"operation\":\"chat\",\"status\":\"succeeded\",\"http_status\":200,"
                   "\"latency_ms\":");
    out = put_number(out, (uint64_t)event->latency_ms, 1);
    out = put(out, ",\"stream\":true,\"usage\":{\"input_tokens\":");
    out = put_number(out, (uint64_t)event->input_tokens, 1);
    out = put(out, ",\"cache_read_tokens\":");
    out = put_number(out, (uint64_t)event->cache_read_tokens, 1);
    out = put(out, ",\"output_tokens\":");
    out = put_number(out, (uint64_t)event->output_tokens, 1);
    out = put(out, "},\"cost\":\"");
    out = put_number(out, (uint64_t)event->cost_nano / 1000000000, 1);
    *out++ = '.';
    out = put_number(out, (uint64_t)event->cost_nano % 1000000000, 9);
    return put(out, "\"}}");
}

size_t
um1_write(struct um1_writer *writer, const struct um1_event *event, char *out, char subject[24])
{
    char *at = out;

    *put_name(subject, event->prefix, event->tenant) = '\0';
    at = put(at, "{\"specversion\":\"1.0\",\"id\":\"rec-");
    at = put_number(at, (uint64_t)event->number, 1);
    at = put(at, "\",\"source\":\"//gw.eu-1/aigw\",\"type\":\"com.example.usage.record.v1\","
                 "\"time\":\"");
    at = put_time(writer, at, event->at_ms);
    at = put(at, "\",\"subject\":\"");
    at = put(at, subject);
    at = put(at, "\",\"datacontenttype\":\"application/json\"");
    return (size_t)(put_data(at, event) - out);
}
