// What a statement meant in an earlier version of the schema.
#pragma once

#include "healing/rewriter.hpp"
#include "healing/rule_versions.hpp"
#include "pgmend/catalog/history.hpp"
#include "pgmend/healing/plan.hpp"
#include "pgmend/healing/question.hpp"
#include "pgmend/sql/parse.hpp"

#include <cstddef>
#include <memory>
#include <variant>
#include <vector>

namespace pgmend::healing {

/// The versions that have a lineage with the current one.
struct lineage {
    explicit lineage(catalog::history const& schema);

    catalog::snapshot const& now;
    std::vector<std::shared_ptr<catalog::snapshot const>> every;   ///< newest first, the current one too
    std::vector<std::shared_ptr<catalog::snapshot const>> earlier; ///< newest first; those of rules in front
    std::shared_ptr<rule_versions const> rules;                    ///< null: no rule has anything to do with the text
};

/// The meaning that a statement had, and how to ask what the relations were like then.
struct past_meaning {
    sql::resolution resolution;
    rewriter::past before;
    std::shared_ptr<catalog::snapshot const> version; ///< the newest one that fits; null: names of several versions
    bool reuses{false}; ///< a rule says so although the names mean something else today
};

/// The one meaning that statement `index` had in the earlier versions that it fits; where it fits none, and
/// was not prepared, that of names of different times, as long as each only ever meant one thing.
[[nodiscard]] std::variant<past_meaning, refusal> find_meaning(sql::parsed_text const& text, std::size_t index,
                                                               question const& asked, lineage const& versions);

/// What a statement that fits the current version meant in earlier ones, where that is something else.
[[nodiscard]] std::optional<silent_drift> find_silent_drift(sql::parsed_text const& text, std::size_t index, question const& asked,
                                                            lineage const& versions, sql::resolution const& now);

} // namespace pgmend::healing
