// From the meaning of a statement to the edits that give it back.
#pragma once

#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/healing/plan.hpp"
#include "pgmend/healing/question.hpp"
#include "pgmend/sql/resolution.hpp"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::healing {

/// Decides, for each name of one statement, how the current version calls what the name meant. Proves nothing: the planner
/// resolves the edited text again. Used once.
class rewriter {
  public:
    /// How a relation was when the statement was written: asked with the name that a reference uses for it or for its
    /// column (empty: any). nullptr: not known.
    using past = std::function<catalog::relation const*(catalog::oid relation, std::int16_t column, std::string_view name)>;

    /// `then`: the version that the meaning comes from, null where it comes from several.
    rewriter(session_view const& session, sql::resolution const& meaning, past before, catalog::snapshot const& now,
             catalog::snapshot const* then)
        : session_{session}, meaning_{meaning}, before_{std::move(before)}, now_{now}, then_{then} {}

    /// Which unqualified names get what they belong to in front.
    struct qualification {
        bool renamed{false};         ///< all columns and relations that were renamed
        std::set<std::string> names; ///< the columns that are called so now
        std::set<std::string> positions; ///< of output columns in GROUP BY: they are counted, since a column of FROM is called so now
    };

    /// Columns (relation, number) whose type may be another one now.
    void allow_types(std::set<std::pair<catalog::oid, std::int16_t>> const& retyped) { retyped_ = &retyped; }

    /// A rule says what the old names mean, whatever has them today.
    void allow_reused(bool allowed) { reused_ = allowed; }

    /// A reason where it cannot be done. There may be no edits.
    [[nodiscard]] std::optional<refusal> run(qualification const& qualify);

    /// Refuses where a literal of the text may be an enum's label that changed.
    void loose_literals(std::string_view text, std::vector<std::shared_ptr<catalog::snapshot const>> const& versions);
    [[nodiscard]] std::optional<refusal> const& refused() const { return refusal_; }

    [[nodiscard]] std::vector<edit> const& edits() const { return edits_; }
    [[nodiscard]] std::vector<renaming> const& renamings() const { return renamings_; }
    [[nodiscard]] std::vector<std::string> const& patterns() const { return patterns_; }

    /// Whether the name that begins at this byte was changed; nothing: no name begins there.
    [[nodiscard]] std::optional<bool> changed_at(std::uint32_t byte) const;

  private:
    struct new_name {
        std::string text;  ///< as it has to be written
        bool changed{false};
        bool alias{false}; ///< the old name is kept as an alias
    };

    void refuse(refusal_kind kind, std::string reason);
    void relation_reference(sql::reference const& it, qualification const& qualify);
    void column_reference(sql::reference const& it, std::size_t index, qualification const& qualify);
    void prefix(sql::reference const& it, std::size_t length);

    // rewriter_objects.cpp
    struct object_name {
        std::string schema;
        std::string name;
    };
    void object_reference(sql::reference const& it, std::size_t index);
    void function_reference(sql::reference const& it, std::size_t index);
    void type_reference(sql::reference const& it, std::size_t index);
    void label_reference(sql::reference const& it);
    void constraint_reference(sql::reference const& it);
    void write_name(sql::reference const& it, std::size_t index, renaming::kind_type kind, object_name const& was,
                    object_name const& is, bool visible);
    void note_object(renaming::kind_type kind, std::string_view what, std::string before, std::string after);

    void column_literal(sql::reference const& it);
    void labels();
    void index_name();
    void star(sql::star const& it);
    void positional(sql::positional_target const& it);
    void merged(sql::merged_columns const& it);
    void replace(sql::reference const& it);
    [[nodiscard]] bool uses(sql::reference const& from, std::int16_t column) const;
    [[nodiscard]] catalog::relation const* unchanged_kind(catalog::oid id, std::string_view name);
    [[nodiscard]] catalog::column const* same_column(catalog::oid relation, std::int16_t number, std::string_view name);
    void note_renamed(catalog::oid relation, std::string_view name, catalog::column const& column);
    [[nodiscard]] new_name name_now(sql::reference const& it, catalog::relation const& relation, bool qualify) const;
    void add(std::uint32_t begin, std::uint32_t end, std::string text);

    session_view const& session_;
    sql::resolution const& meaning_;
    past before_;
    catalog::snapshot const& now_;
    catalog::snapshot const* then_;
    std::set<std::pair<catalog::oid, std::int16_t>> const* retyped_{nullptr};
    bool reused_{false};
    std::optional<refusal> refusal_;
    std::vector<edit> edits_;
    std::vector<renaming> renamings_;
    std::vector<std::string> patterns_;
    std::map<std::uint32_t, new_name> items_;          ///< by FROM item
    std::map<std::size_t, std::string> renamed_;       ///< references to what was renamed, with the new name
    std::set<std::uint32_t> replaced_;                 ///< FROM items in whose place a subquery with the old names stands
    std::map<std::uint32_t, bool> changed_;            ///< by the byte where a name begins
};

} // namespace pgmend::healing
