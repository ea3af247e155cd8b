// YAML text as a tree whose nodes know where they stand. The only folder that knows yaml-cpp is this one.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::yaml {

/// 1-based; columns count characters. {0, 0}: the file as a whole.
struct position {
    std::uint32_t line{0};
    std::uint32_t column{0};

    auto operator<=>(position const&) const = default;
};

struct mistake {
    position where;
    std::string message;
};

enum class node_kind : std::uint8_t { null, scalar, sequence, mapping };

struct node;
using node_pointer = std::shared_ptr<node const>; // an alias and its anchor share one node

struct entry {
    std::string key;
    position where;
    node_pointer value;
};

struct node {
    node_kind kind{node_kind::null};
    position where;
    std::string text;                ///< of a scalar
    std::vector<node_pointer> items; ///< of a sequence
    std::vector<entry> entries;      ///< of a mapping, in their order; without duplicates
    std::uint32_t weight{1};         ///< how many nodes this is when aliases are written out
};

struct document {
    node_pointer root; ///< null pointer: the text is no YAML, or there is nothing in it
    std::vector<mistake> mistakes;
};

struct limits {
    std::uint32_t most_nodes{10000}; ///< with aliases written out
    std::size_t most_depth{32};
};

/// Parses one YAML document. Finds bytes that are not UTF-8, syntax errors, duplicate keys, documents after the
/// first, and texts that are too deep or, with their aliases written out, too large. Time is linear in the text and memory in its nodes.
[[nodiscard]] document parse_document(std::string_view text, limits within = {});

/// `a mapping`, `text`, …
[[nodiscard]] std::string_view kind_name(node_kind kind);

} // namespace pgmend::yaml
