// The table of everything a rule file may say. Checks, suggestions, documentation and the schema for editors come from it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pgmend::rules {

enum class key_type : std::uint8_t {
    text,
    column_name,   ///< [schema.]table.column
    object_name,   ///< [schema.]name
    label_name,    ///< [schema.]type.label
    expression,    ///< one SQL expression
    statement,     ///< one SQL statement
    names,         ///< a list of columns
    text_or_texts,
    regex,
    date,
    duration,
    boolean,
    choice,
    mapping,
    list_of_mappings,
};

struct key {
    std::string_view group; ///< the mapping it stands in: "" at the top, "rule", "when", …
    std::string_view name;
    key_type type{key_type::text};
    std::string_view help;
    std::string_view children{}; ///< of a mapping: the group of its keys
    std::span<std::string_view const> choices{};
    bool required{false};
    bool built{true}; ///< false: understood and checked, without effect in this version
};

/// What a rule may be about, and what it may say of that.
struct form {
    std::string_view subject;
    std::string_view does;
};

[[nodiscard]] std::span<key const> all_keys();
[[nodiscard]] std::span<form const> all_forms();
[[nodiscard]] key const* find_key(std::string_view group, std::string_view name);
[[nodiscard]] std::vector<std::string_view> names_in(std::string_view group);
[[nodiscard]] bool is_subject(std::string_view name);
[[nodiscard]] bool is_action(std::string_view name);

/// What may be said of a subject; or of what something may be said.
[[nodiscard]] std::vector<std::string_view> actions_of(std::string_view subject);
[[nodiscard]] std::vector<std::string_view> subjects_of(std::string_view action);

} // namespace pgmend::rules
