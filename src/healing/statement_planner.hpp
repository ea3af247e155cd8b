// One statement of a text: fits, has a heal, or is refused.
#pragma once

#include "healing/meaning.hpp"
#include "healing/rewriter.hpp"
#include "healing/situation.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/sql/parse.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace pgmend::healing {

/// A heal of one statement. Spans are those of the whole original text.
struct statement_heal {
    std::vector<edit> edits;
    std::vector<renaming> renamings;
    std::vector<std::string> patterns;
    healing::evidence evidence{healing::evidence::lineage};
    std::vector<std::string> approval; ///< patterns that change more than names, where no rule says so
    std::string note;
    sql::resolution meant;          ///< what it meant when it was written, adapted: the edited text has to mean that now
    std::vector<loss> losses;
    std::optional<std::vector<catalog::oid>> parameter_types;
    std::optional<refusal> otherwise; ///< a guess: the answer as long as it may not heal
};

using statement_verdict = std::variant<statement_heal, refusal, fits>;

/// A name of the edited text that finds something else now.
struct clash {
    std::string name;   ///< of a column, which would have to be qualified; empty: none
    bool output{false}; ///< GROUP BY names an output column by it, which would have to be counted
};

/// Judges one statement. Used once.
class statement_planner {
  public:
    explicit statement_planner(situation const& at) : at_{at} {}

    [[nodiscard]] statement_verdict run();

  private:
    [[nodiscard]] std::optional<statement_verdict> overridden() const;
    [[nodiscard]] refusal explained(refusal why) const;
    [[nodiscard]] statement_verdict judge();
    [[nodiscard]] statement_verdict fitting(sql::resolution const& now);
    [[nodiscard]] statement_verdict names(std::string const& ambiguous_now);
    [[nodiscard]] statement_verdict types(sql::resolution const& now);
    [[nodiscard]] statement_verdict guessed(refusal why) const;
    [[nodiscard]] statement_verdict with_defaults(statement_verdict answer) const;
    void keep_parameter_types(sql::parsed_text const& healed, past_meaning const& past, statement_heal& made) const;
    [[nodiscard]] statement_verdict apply(past_meaning const& past, adaptation const& how, std::string const& ambiguous_now) const;
    [[nodiscard]] statement_verdict adapt(past_meaning const& past, adapted how) const;
    [[nodiscard]] statement_verdict rewrite(past_meaning const& past, adaptation const& how, sql::parsed_text const& middle,
                                            rewriter::qualification const& qualify, clash& found) const;
    [[nodiscard]] std::optional<refusal> row_types_changed(sql::resolution const& meant) const;
    [[nodiscard]] std::optional<refusal> write_late(adaptation const& how, statement_heal& made) const;
    [[nodiscard]] std::vector<std::string> shape_patterns(sql::resolution const& meant, catalog::snapshot const* then) const;
    [[nodiscard]] past_meaning present(sql::resolution const& now) const;

    situation const& at_;
};

/// The edited text must mean now what the original meant then, name by name and label by label. `found`: why it does not.
[[nodiscard]] std::optional<refusal> verify(sql::parsed_text const& healed, std::size_t index, sql::resolution const& meant,
                                            session_view const& session, catalog::snapshot const& now, clash& found);

} // namespace pgmend::healing
