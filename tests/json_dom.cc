/* Only simdjson's error-code interface is used: no exception leaves this file. */
#define SIMDJSON_EXCEPTIONS 0
#include "tests/json_dom.h"

#include <new>
#include <set>
#include <simdjson.h>
#include <string>

using simdjson::dom::element;
using simdjson::dom::element_type;

struct dom {
    simdjson::dom::parser parser;
    simdjson::dom::parser again; /* for the sources of what is inside */
    simdjson::error_code error;
    element root;
    size_t size_limit;
    struct json *json; /* that is compared */
};

namespace
{

const char *differs(dom *dom, element theirs, const json_value *ours, bool sources);

std::string_view
view(text text)
{
    return {text.at == nullptr ? "" : text.at, text.size};
}

/* The getters cannot fail: the type was asked for first. */
template <typename Type>
Type
get(element from)
{
    Type found{};
    const simdjson::error_code error = from.get(found);

    (void)error;
    return found;
}

bool
is_plain(std::string_view text)
{
    for (const char c : text)
        if (c < 0x20 || c > 0x7e)
            return false;
    return true;
}

const char *
text_differs(std::string_view theirs, const json_value *ours)
{
    if (theirs != view(ours->is.text))
        return "text";
    return ours->plain && !is_plain(theirs) ? "plain text" : nullptr;
}

/* The same bits: also the sign of zero. */
const char *
double_differs(double theirs, double ours)
{
    return memcmp(&theirs, &ours, sizeof ours) == 0 ? nullptr : "double";
}

/* The container's source is taken for a value of its own. */
const char *
source_differs(dom *dom, const json_value *ours)
{
    const text source = json_source_of(dom->json, ours);
    std::string small(source.size + 64, ' ');
    std::string mine(source.size, ' ');
    size_t size = 0;
    element found;

    if (dom->again.parse(source.at, source.size).get(found) != simdjson::SUCCESS)
        return "source";
    if (differs(dom, found, ours, false) != nullptr)
        return "source of another value";
    if (simdjson::minify(source.at, source.size, small.data(), size) != simdjson::SUCCESS)
        return "source to minify";
    small.resize(size);
    return view(json_minify(dom->json, source, mine.data())) == small ? nullptr : "minified source";
}

const char *
array_differs(dom *dom, element theirs, const json_value *ours, bool sources)
{
    const json_value *value = json_first(ours);

    for (const element inner : get<simdjson::dom::array>(theirs)) {
        if (value == json_end(ours))
            return "elements are missing";
        if (value->name.at != nullptr || value->word != 0)
            return "an element has a name";
        const char *what = differs(dom, inner, value, sources);

        if (what != nullptr)
            return what;
        value = json_after(value);
    }
    return value == json_end(ours) ? nullptr : "elements too many";
}

const char *
object_differs(dom *dom, element theirs, const json_value *ours, bool sources)
{
    const json_value *value = json_first(ours);

    for (const simdjson::dom::key_value_pair inner : get<simdjson::dom::object>(theirs)) {
        if (value == json_end(ours))
            return "members are missing";
        if (inner.key != view(value->name))
            return "name";
        const char *what = differs(dom, inner.value, value, sources);

        if (what != nullptr)
            return what;
        value = json_after(value);
    }
    return value == json_end(ours) ? nullptr : "members too many";
}

const char *
differs(dom *dom, element theirs, const json_value *ours, bool sources)
{
    static const json_type types[] = {JSON_ARRAY,  JSON_OBJECT, JSON_INTEGER, JSON_NATURAL,
                                      JSON_DOUBLE, JSON_TEXT,   JSON_BOOL,    JSON_NULL};
    static const element_type marks[] = {
        element_type::ARRAY,  element_type::OBJECT, element_type::INT64, element_type::UINT64,
        element_type::DOUBLE, element_type::STRING, element_type::BOOL,  element_type::NULL_VALUE};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (theirs.type() == marks[i] && ours->type != types[i])
            return "type";
    if (sources && ours->type >= JSON_ARRAY) {
        const char *what = source_differs(dom, ours);

        if (what != nullptr)
            return what;
    }
    switch (ours->type) {
    case JSON_NULL:
        return nullptr;
    case JSON_BOOL:
        return get<bool>(theirs) == ours->is.yes ? nullptr : "bool";
    case JSON_INTEGER:
        return get<int64_t>(theirs) == ours->is.integer ? nullptr : "integer";
    case JSON_NATURAL:
        return get<uint64_t>(theirs) == ours->is.natural ? nullptr : "natural";
    case JSON_DOUBLE:
        return double_differs(get<double>(theirs), ours->is.number);
    case JSON_TEXT:
        return text_differs(get<std::string_view>(theirs), ours);
    case JSON_ARRAY:
        return array_differs(dom, theirs, ours, sources);
    case JSON_OBJECT:
        return object_differs(dom, theirs, ours, sources);
    }
    return "type of ours";
}

/* What is wrong must be said alike, as far as the reasons of dead letters go.  Of several faults
 * simdjson names open texts and control characters first, wherever they are. */
const char *
fault_differs(simdjson::error_code error, json_fault ours)
{
    const bool not_json = ours == JSON_BROKEN || ours == JSON_NUMBER || ours == JSON_ESCAPE;

    switch (error) {
    case simdjson::SUCCESS:
        return ours == JSON_FINE ? nullptr : "refused";
    case simdjson::CAPACITY:
        return ours == JSON_OVERSIZE ? nullptr : "not refused as too large";
    case simdjson::DEPTH_ERROR:
        return ours == JSON_DEEP ? nullptr : "not refused as too deep";
    case simdjson::UTF8_ERROR:
        return ours == JSON_NOT_UTF8 ? nullptr : "not refused as no UTF-8";
    case simdjson::UNCLOSED_STRING:
    case simdjson::UNESCAPED_CHARS:
        return ours != JSON_FINE && ours != JSON_OVERSIZE ? nullptr : "not refused";
    case simdjson::TAPE_ERROR:
        /* Also, before anything else is looked at, for a bracket that nothing closes. */
        return not_json || ours == JSON_DEEP ? nullptr : "not refused as no JSON";
    default:
        return not_json ? nullptr : "not refused as no JSON";
    }
}

bool
repeats(element value)
{
    if (value.is_array()) {
        for (const element inner : get<simdjson::dom::array>(value))
            if (repeats(inner))
                return true;
    } else if (value.is_object()) {
        std::set<std::string_view> names;

        for (const simdjson::dom::key_value_pair inner : get<simdjson::dom::object>(value))
            if (!names.insert(inner.key).second || repeats(inner.value))
                return true;
    }
    return false;
}

} // namespace

dom *
dom_new(size_t size_limit, unsigned depth_limit)
{
    dom *made = new (std::nothrow) dom();

    /* simdjson refuses at its limit, we one above. */
    if (made == nullptr ||
        made->parser.allocate(size_limit, depth_limit + 1) != simdjson::SUCCESS) {
        delete made;
        return nullptr;
    }
    made->size_limit = size_limit;
    return made;
}

void
dom_free(dom *dom)
{
    delete dom;
}

const char *
dom_differs(dom *dom, json *json, text bytes)
{
    const std::string copy(view(bytes));
    const json_value *root = nullptr;
    const json_fault fault = json_parse(json, bytes, &root);

    dom->json = json;
    dom->error =
        bytes.size > dom->size_limit ? simdjson::CAPACITY : dom->parser.parse(copy).get(dom->root);
    const char *what = fault_differs(dom->error, fault);

    return what != nullptr || fault != JSON_FINE ? what : differs(dom, dom->root, root, true);
}

bool
dom_accepted(const dom *dom)
{
    return dom->error == simdjson::SUCCESS;
}

bool
dom_repeats(const dom *dom)
{
    return repeats(dom->root);
}
