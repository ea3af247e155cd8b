#include "pgmend/healing/healed_text.hpp"

#include "healing/masking.hpp"

#include "pgmend/healing/planner.hpp"
#include "pgmend/sql/characters.hpp"
#include "pgmend/sql/facts.hpp"

#include <algorithm>

namespace pgmend::healing {
namespace {

std::vector<std::string> refused_originals(plan const& made, std::string_view original) {
    using kind = sql::statement_kind;
    if (made.evidence == evidence::rule) return {};
    // Which index serves ON CONFLICT is looked for when the statement is planned, not before.
    auto const asks_late = [](std::string const& pattern) { return pattern.starts_with("conflict target"); };
    if (std::any_of(made.patterns.begin(), made.patterns.end(), asks_late)) return {};
    auto const facts = sql::classify(original);
    if (!facts.complete || facts.statements.size() != made.statements) return {};
    // pg_get_serial_sequence('t', 'id') looks for its names when it is executed.
    auto const in_literal = [&](edit const& it) { return it.begin < it.end && it.end <= original.size() && original[it.begin] == '\''; };
    auto const is_late = [](std::string_view function) {
        return std::ranges::equal(function, std::string_view{"pg_get_serial_sequence"}, {}, sql::characters::lower);
    };
    bool const late = std::any_of(facts.statements.begin(), facts.statements.end(), [&](auto const& it) { return std::any_of(it.functions.begin(), it.functions.end(), is_late); });
    if (late && std::all_of(made.edits.begin(), made.edits.end(), in_literal)) return {};
    std::vector<std::string> out;
    for (auto const& healed : made.healed) {
        if (healed.index >= facts.statements.size()) return {};
        auto const& statement = facts.statements[healed.index];
        if (!sql::is_of_rows(statement.kind) && statement.kind != kind::explain && statement.kind != kind::declare) continue;
        out.emplace_back(original.substr(statement.text.begin, statement.text.end - statement.text.begin));
    }
    return out;
}

/// Names that may stand in a literal, as they may be written there: with what they are in, or without. What else would a report say of nextval('old_seq')?
std::vector<std::string> names_in_literals(plan const& made) {
    std::vector<std::string> out;
    for (auto const& it : made.renamings) {
        if (it.kind == renaming::kind_type::column || it.kind == renaming::kind_type::constraint) continue;
        for (std::string_view name : {std::string_view{it.before}, std::string_view{it.after}}) {
            out.emplace_back(name);
            for (auto point = name.find('.'); point != std::string_view::npos; point = name.find('.')) {
                name.remove_prefix(point + 1);
                out.emplace_back(name);
            }
        }
    }
    return out;
}

} // namespace

healed_text make_healed_text(plan made, std::string_view original) {
    healed_text out;
    auto const names = names_in_literals(made);
    out.before = normalized_but_names(original, names);
    out.after = normalized_but_names(made.sql, names);
    out.fingerprint = fingerprint(original);
    out.refused_originals = refused_originals(made, original);
    out.plan = std::move(made);
    out.original = original;
    return out;
}

std::optional<healed_text> lengthened(healed_text const& healed, sql::abridged const& text, std::string_view whole) {
    auto const& made = healed.plan;
    if (healed.original != text.text || made.statements != 1 || made.for_once() || made.parameter_types || !made.nulled.empty()) return std::nullopt;
    auto out = healed;
    out.original = whole;
    out.plan.sql.clear();
    std::uint32_t copied = 0;
    for (auto& it : out.plan.edits) {
        if (text.concerns_list({it.begin, it.end})) return std::nullopt;
        it.begin = text.whole_offset(it.begin);
        it.end = text.whole_offset(it.end);
        out.plan.sql.append(whole.substr(copied, it.begin - copied)).append(it.text);
        copied = it.end;
    }
    out.plan.sql.append(whole.substr(copied));
    for (auto& it : out.plan.healed) it.end = static_cast<std::uint32_t>(out.plan.sql.size() - (made.sql.size() - it.end));
    return out;
}

} // namespace pgmend::healing
