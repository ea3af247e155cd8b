// What one worker knows of one database: the newest schema, the names that may have drifted, and verdicts about texts.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/base/published.hpp"
#include "pgmend/catalog/history.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/healing/rewrite_cache.hpp"
#include "pgmend/healing/settings.hpp"
#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/sql/facts.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace pgmend::session {

/// A write that would lose a value is not healed without a durable record of it.
[[nodiscard]] healing::refusal needs_audit(healing::plan const& made);

/// Shared by the sessions of one worker in one database, used on its thread only. Everything here is remembered, nothing is
/// waited for: `refresh` costs one atomic load while nothing has changed.
class database_judge {
  public:
    using schema_ptr = std::shared_ptr<catalog::history const>;

    explicit database_judge(std::shared_ptr<base::published<catalog::history> const> schema, std::size_t most_cache_bytes = 16U << 20);

    /// Takes over what is known now. Call before each use.
    void refresh();
    /// Settings, rules and patterns of this worker's newest configuration; cheap where they are those of the last call.
    void configure(healing::settings const& settings, std::shared_ptr<rules::rule_set const> const& rules,
                   std::shared_ptr<learning::pattern_book const> const& book);
    [[nodiscard]] rules::rule_set const& rules() const { return *rules_; }
    [[nodiscard]] learning::pattern_book const& book() const { return *book_; }

    [[nodiscard]] schema_ptr const& schema() const { return schema_; } ///< null: no version is known
    [[nodiscard]] healing::settings const& settings() const { return settings_; }

    /// A text that mentions none of these names, and that no rule is for, means what it meant.
    [[nodiscard]] bool has_tripwire() const { return !tripwire_.empty() || (rules_ && rules_->has_statements()); }

    [[nodiscard]] healing::cached_text& text(std::string_view sql) { return cache_.find(sql); }
    [[nodiscard]] healing::cached_text& text(std::string_view sql, std::size_t hash) { return cache_.find(sql, hash); }
    [[nodiscard]] healing::cached_text* known_text(std::string_view sql, std::size_t hash) { return cache_.known(sql, hash); }
    /// Of a text that is not known: whether it is one plain statement (it leaves the session and its transaction as they are) that nothing here has to do
    /// with. Such a text is kept only when it comes again: most of those that have come once never do. Costs a look through it, and no memory.
    [[nodiscard]] bool is_of_no_interest(std::string_view sql, std::size_t hash);
    /// The table that a text inserts into, where a rule may want its batches to be split; else empty. All of the text, or its beginning.
    [[nodiscard]] std::string batch_of(std::string_view sql) const;
    [[nodiscard]] std::string const& batch_of(healing::cached_text& text);
    /// Whether the text mentions something that may have drifted; looks through it once for each version of the tripwire.
    [[nodiscard]] bool trips(healing::cached_text& text);
    [[nodiscard]] bool trips(std::string_view sql) const;
    [[nodiscard]] std::uint64_t masked(healing::cached_text& text);

    /// The opinion that holds, or nullptr.
    [[nodiscard]] healing::opinion* known(healing::cached_text& text, std::uint32_t view, std::vector<catalog::oid> const& types);
    /// Asks the planner, and keeps what it says.
    healing::opinion& judge(healing::cached_text& text, std::uint32_t view, std::vector<catalog::oid> const& types,
                            rules::circumstances const& who);
    /// What PostgreSQL has accepted in a session with this view, after it had failed just now: the next time it is known before.
    void learn(std::string_view sql, healing::session_view const& view, rules::circumstances const& who,
               std::vector<catalog::oid> const& types, std::shared_ptr<healing::healed_text const> healed, base::time_point now);

    /// Session views as numbers, from 1; where there are rules, those for different users, applications and days differ.
    /// A number means the same until `stamp` changes.
    [[nodiscard]] std::uint32_t number_of(healing::session_view const& view, rules::circumstances const& who);
    [[nodiscard]] healing::session_view const& view(std::uint32_t number) const { return *views_[number - 1]; }
    /// Counts up with every change of the schema, the rules or the settings.
    [[nodiscard]] std::uint64_t stamp() const { return stamp_; }
    /// The view that was last found in a session of this user; nullptr: not known.
    [[nodiscard]] healing::session_view const* usual_view(std::string const& user) const;
    void note_usual_view(std::string const& user, healing::session_view const& view);

    /// Names that labels of enums had, and have no more, or that rules have another one for. Mostly none.
    [[nodiscard]] bool has_old_labels() const { return !old_labels_.empty(); }
    /// Whether the value of a parameter, in text or binary form, is one of them, or an array that holds one. Its type is not known, so it may be no label at all.
    [[nodiscard]] bool may_have_old_label(base::byte_view value) const;

    /// Whether a text like this one has worked on this version of the schema.
    [[nodiscard]] bool has_worked(std::uint64_t masked) const { return worked_.contains(masked); }
    void note_worked(std::uint64_t masked);

    /// Functions of users may change what names mean in a session, so no view lasts longer than a statement.
    [[nodiscard]] bool views_do_not_last() const { return views_do_not_last_; }

    [[nodiscard]] healing::rewrite_cache const& cache() const { return cache_; }

  private:
    static constexpr std::size_t most_seen_once = 4096;

    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };

    void build_tripwire();
    void collect_old_labels();

    std::shared_ptr<base::published<catalog::history> const> source_;
    base::published<catalog::history>::reader reader_;
    schema_ptr schema_;
    std::shared_ptr<rules::rule_set const> rules_;
    std::shared_ptr<learning::pattern_book const> book_;
    healing::settings settings_;
    sql::name_set tripwire_;
    sql::name_set names_;         ///< the tripwire without what only statement rules have to do with, where there are such
    std::vector<std::size_t> seen_once_; ///< hashes of texts, each in its place; empty: none yet
    std::unordered_set<std::string, text_hash, std::equal_to<>> old_labels_;
    std::uint64_t stamp_{1};
    bool views_do_not_last_{false};
    healing::rewrite_cache cache_;
    std::unordered_set<std::uint64_t> worked_;
    std::vector<std::unique_ptr<healing::session_view const>> views_;
    std::map<std::string, std::uint32_t> numbers_;     ///< by the view as one text
    std::map<std::string, healing::session_view> usual_views_; ///< by user
};

} // namespace pgmend::session
