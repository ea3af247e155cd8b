#include "healing/statement_planner.hpp"

#include "healing/splice.hpp"
#include "healing/version_builder.hpp"
#include "healing/version_source.hpp"
#include "pgmend/rules/rule_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace pgmend::healing {
namespace {

using sql::unresolved;

/// A rewrite is tried again with more of its columns qualified; each try resolves the text once.
constexpr std::size_t most_tries = 10;

/// An error that a statement whose names all resolve may get because they, or their types, are not what they were.
using strategy = adapted (*)(situation const&, sql::resolution const&);
struct entry {
    std::string_view sqlstate;
    strategy answer;
};
constexpr entry strategies[] = {
    {"428C9", overriding_identity}, {"42P10", other_conflict_target}, {"23502", required_defaults},
};
constexpr std::string_view about_types[] = {"42883", "42804", "42P18", "42P08", "42725"};

/// The names, without what literals are taken for: that depends on types.
bool same_names(sql::resolution const& a, sql::resolution const& b) {
    using kind = sql::reference::kind_type;
    auto const names = [](sql::resolution const& from) {
        std::vector<sql::reference const*> out;
        for (auto const& it : from.references) {
            if (it.kind != kind::enum_label) out.push_back(&it);
        }
        return out;
    };
    auto const x = names(a);
    auto const y = names(b);
    return a.merged == b.merged && a.positional_targets == b.positional_targets &&
           std::equal(x.begin(), x.end(), y.begin(), y.end(), [](sql::reference const* p, sql::reference const* q) {
               return p->kind == q->kind && p->parts == q->parts && p->relation == q->relation && p->column == q->column &&
                      p->item == q->item && p->object == q->object;
           });
}

/// A column whose name is taken now by one of a relation that is nearer, or an output column whose name is taken by a column. Empty: it is something else.
clash taken(sql::resolution const& means, sql::resolution const& meant) {
    using kind = sql::reference::kind_type;
    if (means.references.size() != meant.references.size()) return {};
    for (std::size_t i = 0; i < meant.references.size(); ++i) {
        auto const& is = means.references[i];
        auto const& was = meant.references[i];
        if (is.kind != kind::column) continue;
        if (was.kind == kind::local && was.output != 0) return {is.name, true};
        if (was.kind == kind::column && (is.relation != was.relation || is.column != was.column)) return {is.name, false};
    }
    return {};
}

} // namespace

std::optional<refusal> verify(sql::parsed_text const& healed, std::size_t index, sql::resolution const& meant,
                              session_view const& session, catalog::snapshot const& now, clash& found) {
    version_source current{now, session};
    auto const outcome = healed.resolve(index, current, false);
    if (auto const* failed = std::get_if<unresolved>(&outcome)) {
        found = {failed->column, false};
        return refusal{"the rewritten statement would not fit: " + failed->text, refusal_kind::unproven, {}};
    }
    if (auto const& means = std::get<sql::resolution>(outcome); means.canonical != meant.canonical) {
        found = taken(means, meant);
        return refusal{"the rewritten statement would mean something else", refusal_kind::unproven, {}};
    }
    return std::nullopt;
}

statement_verdict statement_planner::run() {
    auto answer = judge();
    if (auto* refused = std::get_if<refusal>(&answer)) return explained(std::move(*refused));
    if (auto const* heal = std::get_if<statement_heal>(&answer); heal != nullptr && at_.versions.rules) {
        for (auto const& [pattern, why] : at_.versions.rules->contradicted) {
            for (auto const& it : heal->patterns) {
                if (it == pattern || (it.starts_with("rule ") && it.ends_with(": " + pattern))) return why;
            }
        }
    }
    return answer;
}

/// With what rules have to do with it.
refusal statement_planner::explained(refusal why) const {
    auto const* rules = at_.versions.rules.get();
    if (rules == nullptr) return why;
    if (why.kind == refusal_kind::ambiguous_lineage && !rules->contradicted.empty()) return rules->contradicted.begin()->second;
    for (auto const& it : rules->problems) why.reason += "; " + it;
    return why;
}

/// A rule with a condition says what a name means to this client, whatever it means to others.
std::optional<statement_verdict> statement_planner::overridden() const {
    if (!at_.versions.rules || !at_.versions.rules->overriding) return std::nullopt;
    auto const version = at_.versions.rules->overriding;
    version_source source{*version, at_.asked.session};
    auto outcome = at_.text.resolve(at_.index, source, false);
    auto* meant = std::get_if<sql::resolution>(&outcome);
    if (meant == nullptr) return std::nullopt;
    version_source current{at_.versions.now, at_.asked.session};
    auto const today = at_.text.resolve(at_.index, current, false);
    auto const* is = std::get_if<sql::resolution>(&today);
    if (is != nullptr && is->canonical == meant->canonical) return std::nullopt;
    bool const rows = std::any_of(meant->references.begin(), meant->references.end(),
                                  [](sql::reference const& it) { return it.kind == sql::reference::kind_type::whole_row; });
    if (rows || !meant->stars.empty() || !meant->positional_targets.empty()) {
        return refusal{"a rule takes a name from what has it today, and all columns of a relation are used", refusal_kind::changed_shape, {}};
    }
    past_meaning const past{std::move(*meant), [version](catalog::oid id, std::int16_t, std::string_view) { return version->find(id); },
                            version, true};
    return apply(past, {}, {});
}

statement_verdict statement_planner::judge() {
    if (auto answer = overridden()) return std::move(*answer);
    version_source current{at_.versions.now, at_.asked.session};
    auto const outcome = at_.text.resolve(at_.index, current, false);
    if (auto const* is = std::get_if<sql::resolution>(&outcome)) return fitting(*is);
    auto const& why = std::get<unresolved>(outcome);
    // f(c) may be a column c.f as well; not where PostgreSQL says that it is a function which it does not find.
    bool const no_function = at_.asked.error && at_.asked.error->sqlstate == "42883" && at_.asked.error->routine == "ParseFuncOrColumn";
    if (why.kind == unresolved::kind_type::not_understood && !no_function) {
        return fits{std::nullopt, refusal{why.text, refusal_kind::not_understood, {}}};
    }
    // PostgreSQL would have complained about the names first: the error is another text's, or the catalog moved on meanwhile.
    static constexpr std::string_view about_names[] = {"42703", "42P01", "42702", "42883", "42704", "22P02", "3F000", "42601"};
    if (at_.asked.error && std::find(std::begin(about_names), std::end(about_names), at_.asked.error->sqlstate) == std::end(about_names)) {
        return refusal{"the error is not about the names that changed", refusal_kind::not_drift, {}};
    }
    if (at_.versions.earlier.empty()) return guessed({"no earlier version of this schema is known", refusal_kind::no_history, {}});
    return names(why.column);
}

/// The current version as a past one: for statements whose names are as they should be.
past_meaning statement_planner::present(sql::resolution const& now) const {
    auto const& current = at_.versions.every.front();
    return {now, [current](catalog::oid id, std::int16_t, std::string_view) { return current->find(id); }, current, false};
}

/// All names resolve now: to what they meant, or silently to something else.
statement_verdict statement_planner::fitting(sql::resolution const& now) {
    auto const& asked = at_.asked;
    if (asked.shape_only) {
        auto past = find_meaning(at_.text, at_.index, asked, at_.versions);
        if (auto* refused = std::get_if<refusal>(&past)) return std::move(*refused);
        auto const& meant = std::get<past_meaning>(past);
        return adapt(meant, with_casts(at_, meant));
    }
    auto drift = find_silent_drift(at_.text, at_.index, asked, at_.versions, now);
    if (!asked.error) {
        auto pinned = pinned_stars(at_, now, at_.versions.now);
        auto const* how = std::get_if<adaptation>(&pinned);
        if (how == nullptr || !how->edits.empty()) return adapt(present(now), std::move(pinned));
        auto wanted = required_defaults(at_, now);
        if (std::holds_alternative<adaptation>(wanted)) return adapt(present(now), std::move(wanted));
        return fits{std::move(drift), std::nullopt};
    }
    // An INSERT without a list of columns whose values no longer have the types of the columns that they fall on.
    auto const& error = *asked.error;
    bool const shifted = error.sqlstate == "42804" || error.sqlstate == "22P02" || error.sqlstate == "22007" || error.sqlstate == "42601";
    if (drift && shifted && !now.positional_targets.empty()) return names({});
    for (auto const& it : strategies) {
        if (it.sqlstate == error.sqlstate) return adapt(present(now), it.answer(at_, now));
    }
    if (std::find(std::begin(about_types), std::end(about_types), error.sqlstate) == std::end(about_types)) return fits{};
    auto answer = types(now);
    auto const* refused = std::get_if<refusal>(&answer);
    if (!drift || drift->meanings.empty() || refused == nullptr || refused->kind != refusal_kind::not_drift) return answer;
    auto const& one = drift->meanings.front();
    return refusal{one.before == one.after ? fmt::format("the name \"{}\" is now another column's, of another type", one.before)
                                           : fmt::format("a name that meant \"{}\" means \"{}\" now, of another type", one.before, one.after),
                   refusal_kind::name_reused, {}};
}

/// All names mean what they meant, and an operator, a function or a place does not take the types that they have now: the
/// columns get the types back that they had in the newest version where one was different.
statement_verdict statement_planner::types(sql::resolution const& now) {
    for (auto const& version : at_.versions.earlier) {
        version_source source{*version, at_.asked.session};
        auto outcome = at_.text.resolve(at_.index, source, false);
        auto* meant = std::get_if<sql::resolution>(&outcome);
        if (meant == nullptr || !types_differ(*meant, *version, at_.versions.now)) continue;
        if (!same_names(*meant, now)) {
            return refusal{"the statement's names meant something else when their types were different", refusal_kind::ambiguous_lineage, {}};
        }
        past_meaning const past{std::move(*meant), [version](catalog::oid id, std::int16_t, std::string_view) { return version->find(id); },
                                version, false};
        return adapt(past, with_casts(at_, past));
    }
    return refusal{"no column that the statement uses changed its type; this is not drift", refusal_kind::not_drift, {}};
}

statement_verdict statement_planner::names(std::string const& ambiguous_now) {
    auto meaning = find_meaning(at_.text, at_.index, at_.asked, at_.versions);
    if (auto* refused = std::get_if<refusal>(&meaning)) {
        if (refused->kind == refusal_kind::forward_drift) return guessed(std::move(*refused));
        return std::move(*refused);
    }
    auto const& past = std::get<past_meaning>(meaning);
    adaptation stars;
    if (past.version) {
        auto pinned = pinned_stars(at_, past.resolution, *past.version);
        if (auto* refused = std::get_if<refusal>(&pinned)) return std::move(*refused);
        stars = std::get<adaptation>(std::move(pinned));
    }
    auto answer = apply(past, stars, ambiguous_now);
    auto const* refused = std::get_if<refusal>(&answer);
    if (refused == nullptr || !past.version) return with_defaults(std::move(answer));
    bool const types = refused->kind == refusal_kind::changed_type;
    if (!types && refused->kind != refusal_kind::dropped) return answer;
    auto how = types ? with_casts(at_, past) : without_dropped_columns(at_, past);
    if (auto* why = std::get_if<refusal>(&how); why != nullptr && !types) {
        // Which says what was dropped, and why it cannot be helped.
        if (why->kind != refusal_kind::dropped || !why->reason.starts_with("column ")) return answer;
        return refusal{why->reason, refusal_kind::dropped, {}};
    }
    return with_defaults(adapt(past, std::move(how)));
}

/// A healed INSERT may leave out a column that came since, and that a rule has a default for.
statement_verdict statement_planner::with_defaults(statement_verdict answer) const {
    auto* heal = std::get_if<statement_heal>(&answer);
    if (heal == nullptr || !heal->meant.writes || at_.known.rules == nullptr || at_.known.rules->empty()) return answer;
    auto const healed = sql::parsed_text::parse(edited(at_.text.text(), heal->edits));
    if (!healed || healed->statements().size() != at_.text.statements().size()) return answer;
    version_source current{at_.versions.now, at_.asked.session};
    auto const outcome = healed->resolve(at_.index, current, false);
    auto const* now = std::get_if<sql::resolution>(&outcome);
    if (now == nullptr) return answer;
    question again = at_.asked;
    again.sql = healed->text();
    again.error.reset();
    if (heal->parameter_types) again.parameter_types = *heal->parameter_types;
    situation const second{*healed, at_.index, again, at_.known, at_.versions, std::nullopt};
    auto wanted = required_defaults(second, *now);
    if (!std::holds_alternative<adaptation>(wanted)) return answer;
    auto more = statement_planner{second}.adapt(present(*now), std::move(wanted));
    auto* added = std::get_if<statement_heal>(&more);
    if (added == nullptr) return more;
    added->edits = composed(healed->text(), heal->edits, added->edits);
    added->renamings = heal->renamings;
    for (auto& pattern : added->patterns) heal->patterns.push_back(std::move(pattern));
    added->patterns = std::move(heal->patterns);
    added->evidence = learning::weaker(heal->evidence, added->evidence);
    added->approval = std::move(heal->approval);
    added->note = std::move(heal->note);
    added->losses = std::move(heal->losses);
    if (!added->parameter_types) added->parameter_types = std::move(heal->parameter_types);
    added->meant.columns = std::move(heal->meant.columns);
    return more;
}

/// A name that no version had: as if what it may stand for had been called so.
statement_verdict statement_planner::guessed(refusal why) const {
    std::optional<statement_heal> one;
    for (auto const& it : guesses(at_)) {
        version_builder builder{at_.versions.now};
        auto const* relation = at_.versions.now.find(it.relation);
        bool const named = it.column != 0 ? builder.name_column(it.relation, it.column, it.name)
                                          : builder.name_relation(it.relation, relation->schema, it.name);
        if (!named) continue;
        auto const version = builder.build();
        version_source source{*version, at_.asked.session};
        auto outcome = at_.text.resolve(at_.index, source, false);
        auto* meant = std::get_if<sql::resolution>(&outcome);
        if (meant == nullptr) continue;
        past_meaning const past{std::move(*meant), [version](catalog::oid id, std::int16_t, std::string_view) { return version->find(id); },
                                version, false};
        auto answer = apply(past, {}, {});
        auto* heal = std::get_if<statement_heal>(&answer);
        if (heal == nullptr) continue;
        if (one) return why; // it may mean either
        one = std::move(*heal);
        one->evidence = it.by;
        for (auto& pattern : one->patterns) pattern = fmt::format("{} {}", learning::name_of(it.by), pattern);
        bool const allowed = at_.known.policy.what(it.by, one->meant.writes) == action::heal;
        if (!allowed) one->approval = one->patterns;
        one->note = fmt::format("no version of this schema had the {}: {} offers it, and that is wrong more often than right",
                                it.column != 0 ? "column" : "relation", it.by == evidence::hint ? "PostgreSQL's HINT" : "likeness of names");
        one->otherwise = why;
    }
    if (!one) return why;
    return std::move(*one);
}

statement_verdict statement_planner::adapt(past_meaning const& past, adapted how) const {
    if (auto* refused = std::get_if<refusal>(&how)) return std::move(*refused);
    auto const& made = std::get<adaptation>(how);
    return apply(past, made, {});
}

/// The adapted text's names, brought up to date.
statement_verdict statement_planner::apply(past_meaning const& past, adaptation const& how, std::string const& ambiguous_now) const {
    auto const* middle = &at_.text;
    std::optional<sql::parsed_text> adapted_text;
    past_meaning adapted_past{past.resolution, past.before, past.version, past.reuses};
    if (!how.edits.empty()) {
        auto parsed = sql::parsed_text::parse(edited(at_.text.text(), how.edits));
        if (!parsed || parsed->statements().size() != at_.text.statements().size()) {
            return refusal{"the adapted statement cannot be read", refusal_kind::unproven, {}};
        }
        version_source then{*past.version, at_.asked.session};
        auto outcome = parsed->resolve(at_.index, then, false);
        if (auto const* failed = std::get_if<unresolved>(&outcome)) {
            return refusal{"the adapted statement would not have fitted: " + failed->text, refusal_kind::unproven, {}};
        }
        adapted_past.resolution = std::get<sql::resolution>(std::move(outcome));
        adapted_text.emplace(std::move(*parsed));
        middle = &*adapted_text;
    }
    rewriter::qualification qualify;
    if (!ambiguous_now.empty()) qualify.names.insert(ambiguous_now);
    std::optional<statement_verdict> first;
    for (std::size_t tries = 0; tries < most_tries; ++tries) {
        clash found;
        auto answer = rewrite(adapted_past, how, *middle, qualify, found);
        if (std::holds_alternative<statement_heal>(answer)) return answer;
        if (!first) first = std::move(answer);
        // A name may be ambiguous now, or mean something else where it stands: say whose column it is.
        if (!found.name.empty()) {
            bool const counted = qualify.positions.insert(found.name).second;
            bool const qualified = !found.output && qualify.names.insert(found.name).second;
            if (counted || qualified) continue;
        }
        if (std::exchange(qualify.renamed, true)) break;
    }
    return std::move(*first);
}

std::optional<refusal> statement_planner::row_types_changed(sql::resolution const& meant) const {
    for (auto const& key : meant.row_types) {
        auto const schema = std::string_view{key}.substr(0, key.find('\0'));
        auto const name = std::string_view{key}.substr(key.find('\0') + 1);
        auto const* is = find_relation(at_.versions.now, at_.asked.session, schema, name);
        for (auto const& version : at_.versions.every) {
            auto const* was = find_relation(*version, at_.asked.session, schema, name);
            if ((was == nullptr) != (is == nullptr) || (was != nullptr && (was->id != is->id || !same_columns(*was, *is)))) {
                return refusal{fmt::format("the row type of relation \"{}\" is used, and the relation changed", name),
                               refusal_kind::changed_shape, {}};
            }
        }
    }
    return std::nullopt;
}

statement_verdict statement_planner::rewrite(past_meaning const& past, adaptation const& how, sql::parsed_text const& middle,
                                             rewriter::qualification const& qualify, clash& found) const {
    auto const& meant = past.resolution;
    if (auto refused = row_types_changed(meant)) return *refused;
    rewriter writer{at_.asked.session, meant, past.before, at_.versions.now, past.version.get()};
    writer.allow_types(how.retyped);
    writer.allow_reused(past.reuses);
    if (auto refused = writer.run(qualify)) return *refused;
    writer.loose_literals(middle.text(), at_.versions.every);
    if (writer.refused()) return *writer.refused();
    statement_heal made;
    made.edits = how.edits.empty() ? writer.edits() : composed(middle.text(), how.edits, writer.edits());
    made.renamings = writer.renamings();
    made.patterns = writer.patterns();
    bool by_rules = !made.patterns.empty();
    bool learned = false;
    for (auto& it : made.patterns) {
        auto const* rule = at_.versions.rules ? at_.versions.rules->behind(it) : nullptr;
        by_rules = by_rules && rule != nullptr;
        learned = learned || (rule != nullptr && rule->learned);
        if (rule != nullptr) it = fmt::format("{} {}: {}", rule->learned ? "migration" : "rule", rule->name, it);
    }
    for (auto const& it : how.patterns) {
        if (std::find(made.patterns.begin(), made.patterns.end(), it) == made.patterns.end()) made.patterns.push_back(it);
    }
    if (made.patterns.empty() && at_.asked.shape_only) made.patterns = shape_patterns(meant, past.version.get());
    auto const names = learned ? evidence::migration : by_rules ? evidence::rule : evidence::lineage;
    made.evidence = writer.patterns().empty() ? how.evidence : how.patterns.empty() ? names : learning::weaker(how.evidence, names);
    if (!how.equal) made.approval = how.patterns;
    made.note = how.note;
    made.losses = how.losses;
    made.parameter_types = how.parameter_types;
    made.meant = meant;
    if (made.edits.empty() && how.retyped.empty() && !made.parameter_types && !at_.asked.shape_only) {
        return refusal{"nothing that the statement mentions was renamed", refusal_kind::not_drift, {}};
    }
    auto const healed = sql::parsed_text::parse(edited(at_.text.text(), made.edits));
    if (!healed) return refusal{"the rewritten statement cannot be read: " + healed.error().text, refusal_kind::unproven, {}};
    if (healed->statements().size() != at_.text.statements().size()) {
        return refusal{"the rewritten text has another number of statements", refusal_kind::unproven, {}};
    }
    if (auto refused = verify(*healed, at_.index, meant, at_.asked.session, at_.versions.now, found)) return *refused;
    keep_parameter_types(*healed, past, made);
    if (made.edits.empty() && !made.parameter_types && !at_.asked.shape_only) {
        return refusal{"nothing that the statement mentions was renamed", refusal_kind::not_drift, {}};
    }
    // unknown_attribute() points at the value, whose own name may have stayed.
    bool const at_value = at_.asked.error && at_.asked.error->routine == "unknown_attribute";
    if (how.edits.empty() && at_.position && !at_value && !writer.changed_at(*at_.position).value_or(true)) {
        return refusal{"the error is at a name that did not change", refusal_kind::not_drift, {}};
    }
    if (auto refused = write_late(how, made)) return *refused;
    return made;
}

/// What is named where a statement that was prepared keeps its columns, and no name has changed: people can suspend that, too.
std::vector<std::string> statement_planner::shape_patterns(sql::resolution const& meant, catalog::snapshot const* then) const {
    std::vector<std::string> out;
    for (auto const& it : meant.references) {
        auto const* is = at_.versions.now.find(it.relation);
        auto const* was = then != nullptr ? then->find(it.relation) : nullptr;
        if (is == nullptr || (was != nullptr && was->columns == is->columns)) continue;
        auto pattern = fmt::format("columns of {}.{}: as when the statement was prepared", is->schema, is->name);
        if (std::find(out.begin(), out.end(), pattern) == out.end()) out.push_back(std::move(pattern));
    }
    if (out.empty()) out.emplace_back("columns: as when the statement was prepared");
    return out;
}

/// A parameter without a declared type keeps the type that PostgreSQL gave to it in the version that the statement is from.
void statement_planner::keep_parameter_types(sql::parsed_text const& healed, past_meaning const& past, statement_heal& made) const {
    if (past.resolution.parameter_types.empty() || !past.version) return;
    version_source current{at_.versions.now, at_.asked.session};
    auto const outcome = healed.resolve(at_.index, current, false);
    auto const* is = std::get_if<sql::resolution>(&outcome);
    if (is == nullptr) return;
    auto types = made.parameter_types.value_or(at_.asked.parameter_types);
    bool any = false;
    for (std::size_t i = 0; i < past.resolution.parameter_types.size(); ++i) {
        auto const was = past.resolution.parameter_types[i];
        auto const now = i < is->parameter_types.size() ? is->parameter_types[i] : 0;
        bool const declared = i < types.size() && types[i] != 0;
        constexpr catalog::oid first_assigned = 10000; // those of users may be gone
        if (was == 0 || was == now || was >= first_assigned || declared) continue;
        if (types.size() <= i) types.resize(i + 1);
        types[i] = was;
        any = true;
    }
    if (any) made.parameter_types = std::move(types);
}

/// Expressions of rules take the places that were kept for them; what the text means then is the rule's affair, but it has to fit.
std::optional<refusal> statement_planner::write_late(adaptation const& how, statement_heal& made) const {
    if (how.late.empty()) return std::nullopt;
    for (auto const& [place, text] : how.late) {
        for (auto& it : made.edits) {
            if (auto const at = it.text.find(place); at != std::string::npos) it.text.replace(at, place.size(), text);
        }
    }
    auto const healed = sql::parsed_text::parse(edited(at_.text.text(), made.edits));
    if (!healed || healed->statements().size() != at_.text.statements().size()) {
        return refusal{"a rule's expression cannot be read where it would stand", refusal_kind::unproven, {}};
    }
    version_source current{at_.versions.now, at_.asked.session};
    auto outcome = healed->resolve(at_.index, current, false);
    if (auto const* failed = std::get_if<unresolved>(&outcome)) {
        return refusal{"a rule's expression does not fit: " + failed->text, refusal_kind::unproven, {}};
    }
    auto columns = std::move(made.meant.columns);
    made.meant = std::get<sql::resolution>(std::move(outcome));
    made.meant.columns = std::move(columns);
    return std::nullopt;
}

} // namespace pgmend::healing
