// All rules of one configuration, found by the names that statements write.
#pragma once

#include "pgmend/rules/rule.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgmend::rules {

/// Immutable; shared between threads as shared_ptr<rule_set const>. Each look-up is one hash table's, whatever the number of rules.
///
/// Of several rules that apply to a name, the one that names its schema goes before one for every schema, then one with a condition before one
/// without, then the first in the order of the files. The loader has refused rules that contradict each other on the same step.
class rule_set {
  public:
    rule_set(); ///< no rules, generation 0

    /// Rules in the order of the files.
    rule_set(std::vector<rule> rules, std::uint64_t generation);

    rule_set(rule_set const&) = delete; // the index points into the rules
    rule_set& operator=(rule_set const&) = delete;

    [[nodiscard]] std::vector<rule> const& rules() const { return rules_; }
    [[nodiscard]] bool empty() const { return rules_.empty(); }

    /// Differs between any two sets that this process has loaded; 0: the empty set. Part of what a cached plan depends on.
    [[nodiscard]] std::uint64_t generation() const { return generation_; }

    /// Names on the old side of rules that are not off: a statement that writes none of them, inside or outside of literals, and that matches no
    /// statement rule, has nothing to do with any rule. Columns (renamed, gone), tables (renamed, starred, on_error, with a
    /// default), functions, types, sequences, labels. Sorted, each once. For the tripwire.
    [[nodiscard]] std::vector<std::string> const& names() const { return names_; }
    [[nodiscard]] bool has_statements() const { return !statements_.empty(); }
    /// One word of each statement rule: a text without any of them matches none of those. Sorted, each once. For the tripwire.
    [[nodiscard]] std::vector<std::string> const& statement_words() const { return statement_words_; }
    [[nodiscard]] bool has_wordless_statements() const { return has_wordless_statements_; } ///< statement rules that have no such word
    [[nodiscard]] bool has_fallbacks() const { return has_fallbacks_; }
    [[nodiscard]] bool has_batches() const { return !batches_.empty(); } ///< batch_split

    // The rule that applies, or nullptr. `schema` is that of the relation or object as the old code means it: written, or found along the
    // search path; empty where neither is known: then only rules for every schema apply.

    /// column_renamed or column_gone.
    [[nodiscard]] rule const* column(std::string_view schema, std::string_view table, std::string_view column, circumstances const& who) const;
    /// object_renamed.
    [[nodiscard]] rule const* object(object_kind kind, std::string_view schema, std::string_view name, circumstances const& who) const;
    /// star_pinned.
    [[nodiscard]] rule const* star(std::string_view schema, std::string_view table, circumstances const& who) const;
    /// batch_split.
    [[nodiscard]] rule const* on_error(std::string_view schema, std::string_view table, circumstances const& who) const;
    [[nodiscard]] bool splits(std::string_view table) const { return batches_.find(table) != batches_.end(); } ///< in whatever schema, for whomever
    [[nodiscard]] bool splits(std::string_view table, circumstances const& who) const; ///< in whatever schema
    /// column_default rules of a table: one for each column that has any.
    [[nodiscard]] std::vector<rule const*> defaults(std::string_view schema, std::string_view table, circumstances const& who) const;
    /// label_renamed, where the type is known.
    [[nodiscard]] rule const* label(std::string_view schema, std::string_view type, std::string_view label, circumstances const& who) const;
    /// label_renamed rules that apply for a label of any type, in order of precedence.
    [[nodiscard]] std::vector<rule const*> labels(std::string_view label, circumstances const& who) const;

    /// Whether a statement rule may be for this text, whoever sends it.
    [[nodiscard]] bool may_match(scanned_text const& client) const { return statements_.contains(client.hash()); }

    struct matched {
        rule const* by{nullptr};
        replaced_statement edit;
    };
    /// statement_replaced.
    [[nodiscard]] std::optional<matched> replacement(scanned_text const& client, circumstances const& who) const;
    /// statement_fallback.
    [[nodiscard]] rule const* fallback(scanned_text const& client, circumstances const& who) const;

    [[nodiscard]] rule const* find(std::string_view rule_name) const; ///< by the rule's own name

    /// Rules that rename, are not off, and have one of these names on their old side (of a column also its table's), in the order of the
    /// files. Costs a look-up for each name, however many rules there are.
    [[nodiscard]] std::vector<rule const*> renaming(std::span<std::string const> names) const;

  private:
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    /// In order of precedence.
    using by_text = std::unordered_map<std::string, std::vector<rule const*>, text_hash, std::equal_to<>>;

    [[nodiscard]] static std::span<rule const* const> entries(by_text const& index, std::string_view key);

    std::vector<rule> rules_;
    std::uint64_t generation_{0};
    std::vector<std::string> names_;
    std::vector<std::string> statement_words_;
    bool has_wordless_statements_{false};
    by_text by_name_;    ///< the rule's own name
    by_text columns_;    ///< table NUL column: renamed, gone
    by_text objects_;    ///< kind, name
    by_text stars_;      ///< table
    by_text batches_;    ///< table
    by_text defaults_;   ///< table
    by_text labels_;     ///< label
    bool has_fallbacks_{false};
    by_text renaming_;   ///< any name on the old side of a rule that renames
    std::unordered_map<std::uint64_t, std::vector<rule const*>> statements_; ///< by the shape's hash
};

} // namespace pgmend::rules
