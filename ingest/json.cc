/* Only simdjson's error-code interface is used: no exception leaves this file. */
#define SIMDJSON_EXCEPTIONS 0
#include "ingest/json.h"

#include <new>
#include <simdjson.h>
#include <type_traits>

namespace dom = simdjson::dom;

struct json {
    dom::parser parser;
    char *buffer;
    size_t size;
    size_t size_limit;
};

namespace
{

struct member_walk {
    dom::object::iterator at;
    dom::object::iterator end;
};

struct element_walk {
    dom::array::iterator at;
    dom::array::iterator end;
};

/* What the C side carries around for us must survive being copied as plain bytes. */
template <typename Held, typename Room>
void
keep(const Held &held, Room &room)
{
    static_assert(std::is_trivially_copyable<Held>::value && sizeof(Held) <= sizeof(Room) &&
                      alignof(Held) <= alignof(Room),
                  "simdjson changed: give the C view more room");
    new (&room) Held(held);
}

template <typename Held, typename Room>
Held &
kept(Room &room)
{
    return *std::launder(reinterpret_cast<Held *>(&room));
}

/* The getters cannot fail: the type was asked for first. */
template <typename Type>
Type
get(dom::element from)
{
    Type found{};
    const simdjson::error_code error = from.get(found);

    (void)error;
    return found;
}

void
fill(dom::element from, json_value *to)
{
    switch (from.type()) {
    case dom::element_type::STRING: {
        const std::string_view view = get<std::string_view>(from);

        to->type = JSON_TEXT;
        to->is.text = {view.data(), view.size()};
        break;
    }
    case dom::element_type::INT64:
        to->type = JSON_INTEGER;
        to->is.integer = get<int64_t>(from);
        break;
    case dom::element_type::UINT64:
        to->type = JSON_NATURAL;
        to->is.natural = get<uint64_t>(from);
        break;
    case dom::element_type::DOUBLE:
        to->type = JSON_DOUBLE;
        to->is.number = get<double>(from);
        break;
    case dom::element_type::BOOL:
        to->type = JSON_BOOL;
        to->is.yes = get<bool>(from);
        break;
    case dom::element_type::NULL_VALUE:
        to->type = JSON_NULL;
        break;
    case dom::element_type::OBJECT:
        to->type = JSON_OBJECT;
        keep(get<dom::object>(from), to->is.inside);
        break;
    case dom::element_type::ARRAY:
        to->type = JSON_ARRAY;
        keep(get<dom::array>(from), to->is.inside);
        break;
    }
}

bool
is_absent(const json_value *value)
{
    return value->type == JSON_NULL || (value->type == JSON_TEXT && value->is.text.size == 0);
}

json_fault
fault_of(simdjson::error_code error)
{
    switch (error) {
    case simdjson::SUCCESS:
        return JSON_FINE;
    case simdjson::CAPACITY:
        return JSON_OVERSIZE;
    case simdjson::DEPTH_ERROR:
        return JSON_DEEP;
    case simdjson::UTF8_ERROR:
        return JSON_NOT_UTF8;
    case simdjson::STRING_ERROR:
        return JSON_ESCAPE;
    case simdjson::NUMBER_ERROR:
        return JSON_NUMBER;
    default:
        return JSON_BROKEN;
    }
}

} // namespace

json *
json_new(size_t size_limit, size_t depth_limit)
{
    json *made = new (std::nothrow) json();

    if (made == nullptr)
        return nullptr;
    made->size_limit = size_limit;
    made->buffer = new (std::nothrow) char[size_limit + simdjson::SIMDJSON_PADDING];
    /* simdjson refuses at its limit, we one above. The document's own room is taken here too, so
     * that no parse allocates. */
    if (made->buffer == nullptr ||
        made->parser.allocate(size_limit, depth_limit + 1) != simdjson::SUCCESS ||
        made->parser.doc.allocate(size_limit) != simdjson::SUCCESS) {
        json_free(made);
        return nullptr;
    }
    return made;
}

void
json_free(json *json)
{
    if (json == nullptr)
        return;
    delete[] json->buffer;
    delete json;
}

json_fault
json_parse(json *json, text bytes, json_value *root)
{
    dom::element found;

    json->size = 0;
    if (bytes.size > json->size_limit)
        return JSON_OVERSIZE;
    if (bytes.size == 0)
        return JSON_BROKEN;
    memcpy(json->buffer, bytes.at, bytes.size);
    json->size = bytes.size;

    const simdjson::error_code error =
        json->parser.parse(json->buffer, json->size, false).get(found);

    if (error == simdjson::SUCCESS)
        fill(found, root);
    return fault_of(error);
}

text
json_source(const json *json)
{
    return {json->buffer, json->size};
}

void
json_walk_start(json_walk *walk, const json_value *container)
{
    if (container->type == JSON_OBJECT) {
        const dom::object &object = kept<const dom::object>(container->is.inside);

        keep(member_walk{object.begin(), object.end()}, walk->at);
    } else {
        const dom::array &array = kept<const dom::array>(container->is.inside);

        keep(element_walk{array.begin(), array.end()}, walk->at);
    }
}

bool
json_next_member(json_walk *walk, text *name, json_value *value)
{
    member_walk &members = kept<member_walk>(walk->at);

    if (!(members.at != members.end))
        return false;
    const std::string_view key = members.at.key();

    *name = {key.data(), key.size()};
    fill(members.at.value(), value);
    ++members.at;
    return true;
}

void
json_sort_members(json_members *members, const json_value *object, const vocabulary *vocabulary)
{
    uint32_t order = 0;

    members->given = 0;
    members->seen = 0;
    members->twice = -1;
    members->unknown = 0;
    members->unknown_nested = false;
    for (const dom::key_value_pair member : kept<const dom::object>(object->is.inside)) {
        const int slot = vocabulary_find(vocabulary, {member.key.data(), member.key.size()});

        if (slot < 0) {
            members->unknown++;
            members->unknown_nested |= member.value.is_object() || member.value.is_array();
        } else if ((members->seen >> slot & 1) != 0) {
            members->twice = slot;
        } else {
            json_value *found = &members->found[slot];

            members->order[slot] = order;
            fill(member.value, found);
            members->seen |= uint64_t{1} << slot;
            members->given |= uint64_t{!is_absent(found)} << slot;
        }
        order++;
    }
}

bool
json_next_element(json_walk *walk, json_value *value)
{
    element_walk &elements = kept<element_walk>(walk->at);

    if (!(elements.at != elements.end))
        return false;
    fill(*elements.at, value);
    ++elements.at;
    return true;
}

size_t
json_minify(text valid, char *out)
{
    size_t size = 0;
    const simdjson::error_code error = simdjson::minify(valid.at, valid.size, out, size);

    return error == simdjson::SUCCESS ? size : 0;
}

bool
json_is_utf8(text text)
{
    return simdjson::validate_utf8(text.at, text.size);
}
