#include "pgmend/healing/planner.hpp"

#include "healing/barrier.hpp"
#include "healing/rule_versions.hpp"
#include "healing/splice.hpp"
#include "healing/statement_planner.hpp"
#include "healing/version_source.hpp"
#include "pgmend/base/text.hpp"
#include "pgmend/healing/premise.hpp"
#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/sql/facts.hpp"
#include "pgmend/sql/lexer.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/sql/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace pgmend::healing {
namespace {

/// Types that have a fixed oid in every database (genbki.pl): no domains among them, which RowDescription shows as
/// their base types.
constexpr catalog::oid first_assigned_oid = 10000;

/// PostgreSQL compares encoding names without case and punctuation.
bool is_utf8_like(std::string_view encoding) {
    std::string plain;
    for (char const c : encoding) {
        if (c >= 'A' && c <= 'Z') plain += static_cast<char>(c + ('a' - 'A'));
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) plain += c;
    }
    return plain == "utf8" || plain == "unicode" || plain == "sqlascii";
}

/// Of columns and relations, and of nothing else.
bool is_about_names(plan const& made) {
    auto const is_name = [](std::string const& it) { return it.starts_with("column ") || it.starts_with("relation "); };
    return !made.renamings.empty() && made.losses.empty() && !made.parameter_types && std::all_of(made.patterns.begin(), made.patterns.end(), is_name);
}

/// Looks for one plan; holds what all steps need.
class search {
  public:
    search(question const& asked, knowledge const& known) : asked_{asked}, known_{known}, versions_{with_rules(lineage{*known.schema}, asked, known.rules)} {}

    verdict run();

  private:
    [[nodiscard]] std::optional<refusal> unreadable() const;
    [[nodiscard]] std::optional<refusal> unfit() const;
    [[nodiscard]] std::optional<refusal> choose_statement(sql::parsed_text const& text);
    [[nodiscard]] std::optional<verdict> by_statement_rule() const;
    [[nodiscard]] std::optional<statement_verdict> replaced(sql::parsed_text const& text, std::size_t index) const;
    void add_identifiers(plan& made) const;
    [[nodiscard]] verdict not_drift(fits const& found) const;
    [[nodiscard]] verdict combine(sql::parsed_text const& text, std::vector<std::pair<std::size_t, statement_heal>> heals) const;
    [[nodiscard]] verdict allowed(plan made, std::vector<std::string> approval, std::string note, bool writes) const;
    [[nodiscard]] std::vector<expected_column> shape(sql::resolution const& meant) const;

    question const& asked_;
    knowledge const& known_;
    lineage versions_;
    std::size_t first_{0};                  ///< the statements in front of it were accepted by the server
    std::optional<std::uint32_t> position_; ///< byte
};

std::optional<refusal> search::unreadable() const {
    if (!is_utf8_like(asked_.session.client_encoding) && !base::is_ascii(asked_.sql)) {
        return refusal{"the statement is not plain ASCII, and the client's encoding is not UTF-8", refusal_kind::not_understood, {}};
    }
    if (!asked_.session.standard_conforming_strings && asked_.sql.find('\\') != std::string_view::npos) {
        return refusal{"standard_conforming_strings is off, and the statement holds a backslash", refusal_kind::not_understood, {}};
    }
    return std::nullopt;
}

std::optional<refusal> search::unfit() const {
    auto const& error = *asked_.error;
    // Parse analysis, except 42P10 (planner), 22xxx (input of a literal) and 23502 (execution: the caller sees to it that all of it is undone).
    static constexpr std::string_view healable[] = {"42703", "42P01", "42702", "42883", "42804", "42P18", "42P08", "42725", "42704",
                                                    "42601", "42P10", "428C9", "22P02", "22007", "23502", "0A000", "3F000"};
    if (std::find(std::begin(healable), std::end(healable), error.sqlstate) == std::end(healable)) {
        return refusal{"an error of this kind is not about names or types", refusal_kind::not_drift, {}};
    }
    if (error.sqlstate == "0A000" && error.routine != "RevalidateCachedQuery") {
        return refusal{"a feature that PostgreSQL does not have; that is not drift", refusal_kind::not_drift, {}};
    }
    if (error.sqlstate == "23502" && error.routine != "ExecConstraints") {
        return refusal{"a NULL that the statement itself did not store", refusal_kind::not_drift, {}};
    }
    if (error.routine == "errorMissingRTE") {
        return refusal{"the statement uses an alias or a table that is not in its FROM; that is not drift", refusal_kind::not_drift, {}};
    }
    return std::nullopt;
}

/// The statement that failed is the one where the error's position falls.
std::optional<refusal> search::choose_statement(sql::parsed_text const& text) {
    if (!asked_.error || !asked_.error->position) return std::nullopt;
    auto const position = *asked_.error->position;
    if (position > 0) position_ = sql::byte_offset(text.text(), position - 1);
    if (!position_) return refusal{"the error's position is outside of the text", refusal_kind::not_drift, {}};
    for (std::size_t i = 0; i < text.statements().size(); ++i) {
        auto const& bytes = text.statements()[i];
        if (*position_ < bytes.begin || *position_ >= bytes.end) continue;
        first_ = i;
        return std::nullopt;
    }
    return refusal{"the error's position is in none of the statements", refusal_kind::not_drift, {}};
}

verdict search::not_drift(fits const& found) const {
    if (!asked_.error) return found;
    if (found.not_understood) return *found.not_understood;
    if (asked_.error->routine == "enum_in") {
        return refusal{"a value is no label of its enum, and no label that was renamed stands in its place: computed values are not looked into, nor are lists of several dimensions or with escapes",
                       refusal_kind::not_understood, {}};
    }
    return refusal{"the statement fits the schema as pgmend knows it; this is not drift", refusal_kind::not_drift, {}};
}

verdict search::run() {
    if (auto refused = unreadable()) return asked_.error ? verdict{*refused} : verdict{fits{std::nullopt, std::move(refused)}};
    if (auto replaced = by_statement_rule()) return std::move(*replaced);
    if (asked_.error) {
        if (auto refused = unfit()) return *refused;
    }
    auto text = sql::parsed_text::parse(std::string{asked_.sql});
    if (!text) {
        refusal why{text.error().text, refusal_kind::not_understood, {}};
        return asked_.error ? verdict{std::move(why)} : verdict{fits{std::nullopt, std::move(why)}};
    }
    if (auto refused = choose_statement(*text)) return *refused;

    fits fitting;
    std::vector<std::pair<std::size_t, statement_heal>> heals;
    auto const count = text->statements().size();
    barriers const barrier{count > 1 ? asked_.sql : std::string_view{}};
    for (std::size_t i = 0; i < count; ++i) {
        if (i > 0 && (barrier.statements() != count || barrier.behind(i - 1))) {
            refusal behind{"a statement in front of it may change what names mean", refusal_kind::behind_barrier, {}};
            if (i <= first_ && asked_.error) return behind;
            if (!fitting.not_understood) fitting.not_understood = std::move(behind);
            break;
        }
        if (i < first_) continue;
        situation const at{*text, i, asked_, known_, versions_, i == first_ ? position_ : std::nullopt};
        auto by_rule = count > 1 ? replaced(*text, i) : std::nullopt;
        auto answer = by_rule ? std::move(*by_rule) : statement_planner{at}.run();
        if (auto* refused = std::get_if<refusal>(&answer)) return std::move(*refused);
        if (auto* fit = std::get_if<fits>(&answer)) {
            if (position_ && i == first_) return not_drift(*fit);
            if (fit->drift && !fitting.drift) fitting.drift = std::move(fit->drift);
            if (fit->not_understood && !fitting.not_understood) fitting.not_understood = std::move(fit->not_understood);
            continue;
        }
        heals.emplace_back(i, std::get<statement_heal>(std::move(answer)));
    }
    if (heals.empty()) return not_drift(fitting);
    return combine(*text, std::move(heals));
}

/// A rule that names the whole statement goes before everything else. What it says is the user's affair, but it has to fit.
std::optional<verdict> search::by_statement_rule() const {
    if (known_.rules == nullptr || !known_.rules->has_statements()) return std::nullopt;
    auto const found = known_.rules->replacement(rules::scanned_text{asked_.sql}, asked_.who);
    if (!found) return std::nullopt;
    auto const& rule = *found->by;
    auto const healed = sql::parsed_text::parse(found->edit.sql);
    if (!healed || healed->statements().size() != 1) {
        return refusal{fmt::format("the replacement of rule \"{}\" cannot be read", rule.name), refusal_kind::not_understood, {}};
    }
    version_source current{versions_.now, asked_.session};
    auto const outcome = healed->resolve(0, current, false);
    if (auto const* failed = std::get_if<sql::unresolved>(&outcome)) {
        return refusal{fmt::format("the replacement of rule \"{}\" does not fit: {}", rule.name, failed->text), refusal_kind::unproven, {}};
    }
    auto const& meant = std::get<sql::resolution>(outcome);
    plan made;
    made.pattern = "rule " + rule.name;
    made.patterns = {made.pattern};
    made.evidence = evidence::rule;
    made.edits = {{found->edit.begin, found->edit.end, found->edit.statement}};
    made.sql = found->edit.sql;
    planned_statement one;
    one.begin = healed->statements()[0].begin;
    one.end = healed->statements()[0].end;
    if (meant.columns) one.columns = shape(meant);
    one.writes = meant.writes;
    made.healed.push_back(std::move(one));
    add_identifiers(made);
    return allowed(std::move(made), {}, {}, meant.writes);
}

/// Likewise, where a rule names one of several statements.
std::optional<statement_verdict> search::replaced(sql::parsed_text const& text, std::size_t index) const {
    if (known_.rules == nullptr || !known_.rules->has_statements()) return std::nullopt;
    auto const& bytes = text.statements()[index];
    auto const alone = asked_.sql.substr(bytes.begin, bytes.end - bytes.begin);
    auto const found = known_.rules->replacement(rules::scanned_text{alone}, asked_.who);
    if (!found) return std::nullopt;
    auto const now = sql::parsed_text::parse(found->edit.statement);
    if (!now || now->statements().size() != 1) return refusal{fmt::format("the replacement of rule \"{}\" cannot be read", found->by->name), refusal_kind::not_understood, {}};
    version_source current{versions_.now, asked_.session};
    auto outcome = now->resolve(0, current, false);
    if (auto const* failed = std::get_if<sql::unresolved>(&outcome)) {
        return refusal{fmt::format("the replacement of rule \"{}\" does not fit: {}", found->by->name, failed->text), refusal_kind::unproven, {}};
    }
    statement_heal made;
    made.edits.push_back({bytes.begin + found->edit.begin, bytes.begin + found->edit.end, found->edit.statement});
    made.patterns.push_back("rule " + found->by->name);
    made.evidence = evidence::rule;
    made.meant = std::get<sql::resolution>(std::move(outcome));
    return made;
}

void search::add_identifiers(plan& made) const {
    made.identifiers = identifiers(asked_.sql);
    auto const more = identifiers(made.sql);
    made.identifiers.insert(made.identifiers.end(), more.begin(), more.end());
    std::sort(made.identifiers.begin(), made.identifiers.end());
    made.identifiers.erase(std::unique(made.identifiers.begin(), made.identifiers.end()), made.identifiers.end());
}

/// The heals of all statements in one text.
verdict search::combine(sql::parsed_text const& text, std::vector<std::pair<std::size_t, statement_heal>> heals) const {
    plan made;
    made.evidence = evidence::rule;
    std::vector<std::string> patterns;
    std::vector<std::string> approval;
    bool writes = false;
    std::string note;
    auto const add_new = [](auto& list, auto const& more) {
        for (auto const& it : more) {
            if (std::find(list.begin(), list.end(), it) == list.end()) list.push_back(it);
        }
    };
    std::optional<refusal> otherwise;
    for (auto const& [index, heal] : heals) {
        if (heal.otherwise && !otherwise) otherwise = heal.otherwise;
        made.edits.insert(made.edits.end(), heal.edits.begin(), heal.edits.end());
        made.losses.insert(made.losses.end(), heal.losses.begin(), heal.losses.end());
        if (heal.parameter_types) made.parameter_types = heal.parameter_types;
        if (auto const& named = heal.meant.index_name) {
            made.fails_first = made.fails_first || std::any_of(heal.edits.begin(), heal.edits.end(), [&](edit const& it) { return it.begin == named->at && it.end == named->at; });
        }
        add_new(approval, heal.approval);
        writes = writes || heal.meant.writes;
        if (!heal.note.empty()) note += (note.empty() ? "" : "; ") + heal.note;
        made.evidence = learning::weaker(made.evidence, heal.evidence);
        add_new(made.renamings, heal.renamings);
        add_new(patterns, heal.patterns);
    }
    made.pattern = fmt::format("{}", fmt::join(patterns, "; "));
    made.sql = edited(asked_.sql, made.edits);
    made.statements = text.statements().size();
    auto const healed = sql::parsed_text::parse(made.sql);
    if (!healed) return refusal{"the rewritten text cannot be read: " + healed.error().text, refusal_kind::unproven, {}};
    if (healed->statements().size() != made.statements) {
        return refusal{"the rewritten text has another number of statements", refusal_kind::unproven, {}};
    }
    for (auto const& [index, heal] : heals) {
        clash found;
        if (heals.size() > 1) {
            if (auto refused = verify(*healed, index, heal.meant, asked_.session, versions_.now, found)) return *refused;
        }
        planned_statement one;
        one.index = index;
        one.begin = healed->statements()[index].begin;
        one.end = healed->statements()[index].end;
        if (heal.meant.columns) one.columns = shape(heal.meant);
        one.writes = heal.meant.writes;
        made.healed.push_back(std::move(one));
    }
    add_identifiers(made);
    made.patterns = std::move(patterns);
    auto const original = identifiers(asked_.sql);
    if (heals.size() == 1 && made.statements == 1 && is_about_names(made)) {
        if (auto premise = premise_of(heals.front().second.meant, original, versions_.now, asked_.session)) made.premise = std::move(*premise);
    }
    if (made.premise.empty()) {
        std::vector<sql::resolution const*> meant;
        for (auto const& [index, heal] : heals) meant.push_back(&heal.meant);
        made.premise = meaning_of(meant, original, versions_.now, asked_.session);
        made.premise_suffices = false;
    }
    auto answer = allowed(std::move(made), std::move(approval), std::move(note), writes);
    auto* refused = std::get_if<refusal>(&answer);
    if (refused == nullptr || !otherwise) return answer;
    // A guess does not change what is known of the name.
    if (refused->kind == refusal_kind::policy_propose) otherwise->reason += "; " + refused->reason;
    otherwise->proposals = std::move(refused->proposals);
    return std::move(*otherwise);
}

/// What the book and the policy say to a plan.
verdict search::allowed(plan made, std::vector<std::string> approval, std::string note, bool writes) const {
    auto const* book = known_.book;
    auto const& database = asked_.who.database;
    if (book != nullptr) {
        for (auto const& it : made.patterns) {
            if (book->suspended(database, it)) return refusal{fmt::format("the pattern is suspended: {}", it), refusal_kind::suspended, {}};
        }
        auto const known_good = [&](std::string const& it) { return book->approved(database, it); };
        if (!approval.empty() && std::all_of(approval.begin(), approval.end(), known_good)) {
            bool const by_people = approval.size() == made.patterns.size(); // else lineage had its share
            approval.clear();
            if (by_people) made.evidence = evidence::approved;
        }
    }
    if (auto const* rule = observed(made.patterns, known_.rules)) {
        refusal observes{fmt::format("rule {} is in mode observe: {}", rule->name, made.pattern), refusal_kind::observe, {}};
        observes.proposals.push_back({std::move(made), {}, {}}); // what it would do; nothing that a person could approve
        return observes;
    }
    auto const may = known_.policy.what(made.evidence, writes);
    if (may == action::off) {
        return refusal{fmt::format("the policy for {} is off: {}", learning::name_of(made.evidence), made.pattern), refusal_kind::policy_off, {}};
    }
    if (may == action::heal && approval.empty()) return made;
    refusal waiting{"a heal waits for approval: " + made.pattern, refusal_kind::policy_propose, {}};
    if (approval.empty()) approval = made.patterns;
    waiting.proposals.push_back({std::move(made), std::move(approval), std::move(note)});
    return waiting;
}

std::vector<expected_column> search::shape(sql::resolution const& meant) const {
    std::vector<expected_column> columns;
    for (auto const& it : *meant.columns) {
        expected_column expected;
        expected.label = it.label;
        auto const* relation = it.relation != 0 && it.column > 0 ? versions_.now.find(it.relation) : nullptr;
        auto const* column = relation != nullptr ? relation->find_column(it.column) : nullptr;
        if (column != nullptr) {
            if (!it.of_function) {
                expected.table = it.relation;
                expected.number = it.column;
            }
            if (column->type < first_assigned_oid) {
                expected.type = column->type;
                expected.type_modifier = column->type_modifier;
            }
        }
        columns.push_back(std::move(expected));
    }
    return columns;
}

} // namespace

verdict judge(question const& asked, knowledge const& known) { return search{asked, known}.run(); }

bool is_never_healed(std::string_view sql) {
    static constexpr std::string_view words[] = {"alter", "drop", "grant", "revoke", "comment", "reindex", "cluster", "reassign", "import", "security"};
    auto const list = sql::scan(sql);
    if (list.tokens.empty()) return false;
    bool const first = std::any_of(std::begin(words), std::end(words), [&](auto word) { return sql::is_word(sql, list.tokens.front(), word); });
    return first && !sql::classify(sql).several();
}

} // namespace pgmend::healing
