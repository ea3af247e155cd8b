#include "keys.hpp"

#include <algorithm>
#include <array>

namespace pgmend::rules {
namespace {

// In the order of the enumerations.
constexpr std::array<std::string_view, 3> modes{"off", "observe", "heal"};
constexpr std::array<std::string_view, 2> writes{"discard", "keep-in-audit"};
constexpr std::array<std::string_view, 1> splits{"rows"};

using enum key_type;

constexpr key keys[] = {
    {.group = "", .name = "rules", .type = list_of_mappings, .help = "what you know about the schema", .children = "rule", .required = true},

    {.group = "rule", .name = "name", .type = text, .help = "what logs and the console call the rule; unique among all files", .required = true},
    {.group = "rule", .name = "column", .type = column_name, .help = "[schema.]table.column as the old code writes it"},
    {.group = "rule", .name = "table", .type = object_name, .help = "[schema.]table (or view) as the old code writes it"},
    {.group = "rule", .name = "enum", .type = label_name, .help = "[schema.]type.label: a label of an enum as the old code writes it"},
    {.group = "rule", .name = "function", .type = object_name, .help = "[schema.]function as the old code writes it, without arguments"},
    {.group = "rule", .name = "type", .type = object_name, .help = "[schema.]type as the old code writes it"},
    {.group = "rule", .name = "sequence", .type = object_name, .help = "[schema.]sequence as the old code writes it"},
    {.group = "rule", .name = "statement", .type = statement, .help = "a statement as the old code sends it, matched token by token; $1, or :name, stands for a constant or a parameter"},

    {.group = "rule", .name = "now", .type = text, .help = "what it is called now: of a column the name alone, of an enum the label alone"},
    {.group = "rule", .name = "gone", .type = mapping, .help = "the column is no more", .children = "gone"},
    {.group = "rule", .name = "default", .type = expression, .help = "a SQL expression that an INSERT stores in the column if it does not name it"},
    {.group = "rule", .name = "star", .type = names, .help = "the columns that * of the table means to the old code, in their order"},
    {.group = "rule", .name = "on_error", .type = mapping, .help = "INSERTs of several rows of which some fail", .children = "on_error"},
    {.group = "rule", .name = "replace", .type = statement, .help = "the statement to run instead, with the same parameters"},
    {.group = "rule", .name = "fallback", .type = mapping, .help = "what to answer while no backend may serve it", .children = "fallback"},

    {.group = "rule", .name = "mode", .type = choice, .help = "the stricter of this and healing.mode wins", .choices = modes},
    {.group = "rule", .name = "when", .type = mapping, .help = "whose statements the rule is for; all that is given must hold", .children = "when"},
    {.group = "rule", .name = "expires", .type = date, .help = "the last day (UTC) on which it applies: 2027-01-31"},
    {.group = "rule", .name = "comment", .type = text, .help = "for people"},

    {.group = "gone", .name = "read", .type = expression, .help = "a SQL expression to read instead, for example \"NULL\"; without it reads are not healed"},
    {.group = "gone", .name = "write", .type = choice, .help = "what happens to a written value; without it writes are not healed", .choices = writes},

    {.group = "fallback", .name = "stale", .type = duration, .help = "how old the last good answer may be: 5m"},
    {.group = "fallback", .name = "replica", .type = boolean, .help = "a replica may answer; it must let the user in without a password"},
    {.group = "fallback", .name = "error", .type = boolean, .help = "neither: the error at once, whatever a rule behind this one says"},

    {.group = "on_error", .name = "split", .type = choice, .help = "rows: store the good rows of a batch", .choices = splits, .required = true},
    {.group = "on_error", .name = "dead_letter", .type = boolean, .help = "record the bad rows durably; else they are lost"},

    {.group = "when", .name = "database", .type = text_or_texts, .help = "a database, or a list of them"},
    {.group = "when", .name = "user", .type = text_or_texts, .help = "who logged in, or a list of them"},
    {.group = "when", .name = "application_name", .type = regex, .help = "a regular expression (RE2), found anywhere in it: ^legacy"},
};

constexpr form forms[] = {
    {"column", "now"},   {"column", "gone"},      {"column", "default"},    {"table", "now"}, {"table", "star"},         {"table", "on_error"},
    {"enum", "now"},     {"function", "now"},     {"type", "now"},          {"sequence", "now"}, {"statement", "replace"}, {"statement", "fallback"},
};

template <class Value>
std::vector<std::string_view> listed(std::string_view form::*where, std::string_view is, Value form::*wanted) {
    std::vector<std::string_view> out;
    for (auto const& f : forms)
        if (f.*where == is) out.push_back(f.*wanted);
    return out;
}

} // namespace

std::span<key const> all_keys() { return keys; }
std::span<form const> all_forms() { return forms; }

key const* find_key(std::string_view group, std::string_view name) {
    for (auto const& k : keys)
        if (k.group == group && k.name == name) return &k;
    return nullptr;
}

std::vector<std::string_view> names_in(std::string_view group) {
    std::vector<std::string_view> names;
    for (auto const& k : keys)
        if (k.group == group) names.push_back(k.name);
    return names;
}

bool is_subject(std::string_view name) { return !actions_of(name).empty(); }
bool is_action(std::string_view name) { return !subjects_of(name).empty(); }

std::vector<std::string_view> actions_of(std::string_view subject) { return listed(&form::subject, subject, &form::does); }
std::vector<std::string_view> subjects_of(std::string_view action) { return listed(&form::does, action, &form::subject); }

} // namespace pgmend::rules
