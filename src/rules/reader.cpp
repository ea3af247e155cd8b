#include "reader.hpp"

#include "expression.hpp"
#include "keys.hpp"
#include "parameter_names.hpp"
#include "written_names.hpp"

#include "pgmend/sql/facts.hpp"
#include "pgmend/yaml/measure.hpp"
#include "pgmend/yaml/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

namespace pgmend::rules {
namespace {

using yaml::entry;
using yaml::in_quotes;
using yaml::kind_name;
using yaml::node;
using yaml::node_kind;
using yaml::position;
using yaml::severity;

constexpr yaml::limits within{.most_nodes = 3'000'000, .most_depth = 12};
constexpr std::size_t most_rule_name_bytes = 100;
constexpr auto longest_stale = std::chrono::hours{24 * 365};

position value_place(entry const& e) { return e.value->kind == node_kind::null ? e.where : e.value->where; }

bool is_rule_name(std::string_view text) {
    return !text.empty() && text.size() <= most_rule_name_bytes && text.front() != '-' &&
           std::none_of(text.begin(), text.end(), [](char c) { return c == ' ' || c == '"' || c == '\'' || c == ';' || c == ','; });
}

/// YYYY-MM-DD.
std::optional<std::chrono::year_month_day> parse_date(std::string_view text) {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
    auto const number = [](std::string_view digits) {
        unsigned n = 0;
        auto const parsed = std::from_chars(digits.data(), digits.data() + digits.size(), n);
        return parsed.ec == std::errc{} && parsed.ptr == digits.data() + digits.size() ? std::optional{n} : std::nullopt;
    };
    auto const year = number(text.substr(0, 4));
    auto const month = number(text.substr(5, 2));
    auto const day = number(text.substr(8, 2));
    if (!year || !month || !day) return std::nullopt;
    std::chrono::year_month_day const date{std::chrono::year{static_cast<int>(*year)}, std::chrono::month{*month}, std::chrono::day{*day}};
    return date.ok() ? std::optional{date} : std::nullopt;
}

std::string with_article(std::vector<std::string_view> const& words) { return yaml::any_of(words); }

/// By its first word; what else a statement does is looked at when it is sent.
bool may_read(std::string const& statement) {
    using kind = sql::statement_kind;
    auto const facts = sql::classify(statement);
    constexpr std::array reads{kind::select, kind::values, kind::table, kind::with};
    return !facts.statements.empty() && std::find(reads.begin(), reads.end(), facts.statements.front().kind) != reads.end();
}

} // namespace

void reader::report(position where, std::string message, severity level) {
    problems_.push_back({file_, where.line, where.column, level, std::move(message)});
    if (level == severity::error) ++mistakes_;
}

void reader::read(std::string_view text) {
    auto const parsed = yaml::parse_document(text, within);
    for (auto const& m : parsed.mistakes) report(m.where, m.message);
    if (!parsed.root) {
        // An editor may empty a file before it writes it: no rules must be said in so many words.
        if (parsed.mistakes.empty()) report({}, "the file is empty; a file without rules says \"rules: []\"");
        return;
    }
    if (parsed.root->kind != node_kind::mapping) {
        report(parsed.root->where, fmt::format("the file must be a mapping with the key rules, not {}", kind_name(parsed.root->kind)));
        return;
    }
    auto const given = known("", "", *parsed.root);
    auto const found = given.find("rules");
    if (found == given.end()) {
        if (parsed.root->entries.empty()) report(parsed.root->where, "rules is missing; a file without rules says \"rules: []\"");
        return;
    }
    if (found->second == nullptr) return; // reported
    auto const& list = *found->second->value;
    if (list.items.size() > most_rules) {
        report(list.where, fmt::format("more than {} rules", most_rules));
        return;
    }
    for (auto const& item : list.items) read_rule(*item);
}

/// The entries that the table knows and whose values are of its kind; the others are reported. Required ones that are missing too.
reader::entries reader::known(std::string_view group, std::string const& path, node const& mapping) {
    entries out;
    for (auto const& e : mapping.entries) {
        auto const* const k = find_key(group, e.key);
        if (k == nullptr) {
            report(e.where, fmt::format("unknown key {}{}", in_quotes(e.key), yaml::did_you_mean(e.key, names_in(group))));
        } else if (good_kind(group, path + e.key, e)) {
            out[e.key] = &e;
            if (!k->built) report(e.where, fmt::format("{}{} has no effect in this version", path, e.key), severity::warning);
        } else {
            out[e.key] = nullptr;
        }
    }
    for (auto const& k : all_keys())
        if (k.group == group && k.required && !out.contains(k.name) && !mapping.entries.empty())
            report(mapping.where, fmt::format("{}{} is missing", path, k.name));
    return out;
}

bool reader::good_kind(std::string_view group, std::string const& shown, entry const& e) {
    auto const& k = *find_key(group, e.key);
    auto const& value = *e.value;
    auto const refuse = [&](std::string_view what) {
        report(value_place(e), fmt::format("{} must be {}, not {}", shown, what, kind_name(value.kind)));
        return false;
    };
    if (value.kind == node_kind::null) {
        report(e.where, k.type == key_type::expression
                            ? fmt::format("{} has no value; SQL's NULL is written in quotes: {}: \"NULL\"", shown, e.key)
                            : fmt::format("{} has no value", shown));
        return false;
    }
    switch (k.type) {
        case key_type::mapping: return value.kind == node_kind::mapping || refuse("a mapping");
        case key_type::list_of_mappings: return value.kind == node_kind::sequence || refuse("a list (begin each rule with \"- \")");
        case key_type::names: return value.kind == node_kind::sequence || refuse("a list of names");
        case key_type::text_or_texts: return value.kind != node_kind::mapping || refuse("a name or a list of names");
        default: return value.kind == node_kind::scalar || refuse("a single value");
    }
}

void reader::read_rule(node const& item) {
    if (item.kind != node_kind::mapping) return report(item.where, fmt::format("a rule must be a mapping, not {}", kind_name(item.kind)));
    auto const before = mistakes_;
    auto const given = known("rule", "", item);
    placed_rule out;
    out.value.where = {file_, item.where.line, item.where.column};
    read_common(given, item.where, out.value);
    std::string_view subject;
    std::string_view does;
    if (!one_form(given, item.where, subject, does)) return;
    auto const* const about = given.at(subject);
    auto const* const says = given.at(does);
    if (about == nullptr || says == nullptr) return;
    auto read = read_action(subject, does, given);
    if (!read || mistakes_ != before) return;
    out.value.does = std::move(*read);
    auto const name = given.find("name");
    out.where = {name->second->value->where, about->value->where, says->where};
    rules_.push_back(std::move(out));
}

/// A rule has one subject and says one thing of it.
bool reader::one_form(entries const& given, position place, std::string_view& subject, std::string_view& does) {
    std::vector<std::string_view> subjects;
    std::vector<std::string_view> actions;
    for (auto const& k : all_keys()) { // in the order of the table, whatever the order of the file
        if (k.group != "rule" || !given.contains(k.name)) continue;
        if (is_subject(k.name)) subjects.push_back(k.name);
        if (is_action(k.name)) actions.push_back(k.name);
    }
    auto const where = [&](std::string_view name) {
        auto const* const e = given.at(name);
        return e == nullptr ? place : e->where;
    };
    if (subjects.empty()) {
        std::vector<std::string_view> all;
        for (auto const& f : all_forms())
            if (std::find(all.begin(), all.end(), f.subject) == all.end()) all.push_back(f.subject);
        report(place, fmt::format("the rule does not say what it is about: it needs {}", with_article(all)));
        return false;
    }
    if (subjects.size() > 1) {
        report(where(subjects[1]), fmt::format("{} and {} in one rule: a rule is about one thing", subjects[0], subjects[1]));
        return false;
    }
    subject = subjects.front();
    auto const possible = actions_of(subject);
    if (actions.empty()) {
        report(place, fmt::format("the rule says nothing of its {}: it needs {}", subject, with_article(possible)));
        return false;
    }
    for (auto const action_name : actions) {
        if (std::find(possible.begin(), possible.end(), action_name) != possible.end()) continue;
        report(where(action_name), fmt::format("{} goes with {}, not with {}", action_name, with_article(subjects_of(action_name)), subject));
        return false;
    }
    if (actions.size() > 1) {
        report(where(actions[1]), fmt::format("{} and {} in one rule: write two rules", actions[0], actions[1]));
        return false;
    }
    does = actions.front();
    return true;
}

void reader::read_common(entries const& given, position place, rule& out) {
    auto const get = [&](std::string_view name) -> entry const* {
        auto const found = given.find(name);
        return found == given.end() ? nullptr : found->second;
    };
    if (given.empty()) report(place, "an empty rule");
    if (auto const* const e = get("name")) {
        out.name = e->value->text;
        if (!is_rule_name(out.name))
            report(e->value->where, fmt::format("name must be a word of at most {} bytes, without blanks, quotes, commas and semicolons, not {}", most_rule_name_bytes, in_quotes(out.name)));
    }
    if (auto const* const e = get("mode"))
        if (auto const chosen = choice("rule", "mode", *e)) out.mode = static_cast<rule_mode>(*chosen);
    if (auto const* const e = get("when")) {
        read_when(*e->value, out.when);
        if (e->value->entries.empty()) report(e->where, fmt::format("when is empty; it needs {}", with_article(names_in("when"))));
    }
    if (auto const* const e = get("expires")) read_expires(*e, out);
    if (auto const* const e = get("comment")) out.comment = e->value->text;
}

void reader::read_when(node const& mapping, condition& out) {
    for (auto const& [name, e] : known("when", "when.", mapping)) {
        if (e == nullptr) continue;
        if (name == "database") out.databases = texts("when.database", *e->value);
        if (name == "user") out.users = texts("when.user", *e->value);
        if (name != "application_name") continue;
        auto compiled = text_pattern::compile(e->value->text);
        if (compiled) out.application_name = std::move(*compiled);
        else report(e->value->where, "when.application_name: " + compiled.error().text);
    }
}

void reader::read_expires(entry const& e, rule& out) {
    out.expires = parse_date(e.value->text);
    if (!out.expires) report(e.value->where, fmt::format("expires must be a date such as 2027-01-31, not {}", in_quotes(e.value->text)));
    else if (out.expired(now_)) report(e.value->where, fmt::format("the rule expired on {} and has no effect", e.value->text), severity::warning);
}

std::vector<std::string> reader::texts(std::string const& shown, node const& value) {
    std::vector<std::string> out;
    auto const add = [&](node const& one) {
        if (one.kind != node_kind::scalar || one.text.empty()) report(one.where, fmt::format("{} must be a name or a list of names", shown));
        else out.push_back(one.text);
    };
    if (value.kind != node_kind::sequence) add(value);
    for (auto const& item : value.items) add(*item);
    if (value.kind == node_kind::sequence && value.items.empty()) report(value.where, fmt::format("{} is empty: the rule would be for nobody", shown));
    return out;
}

std::optional<std::size_t> reader::choice(std::string_view group, std::string const& shown, entry const& e) {
    auto const choices = find_key(group, e.key)->choices;
    auto const same = [](char a, char b) { return a == b || (a == '_' && b == '-'); };
    for (std::size_t i = 0; i < choices.size(); ++i)
        if (std::equal(e.value->text.begin(), e.value->text.end(), choices[i].begin(), choices[i].end(), same)) return i;
    report(e.value->where, fmt::format("{} must be {}, not {}{}", shown, yaml::any_of(choices), in_quotes(e.value->text), yaml::did_you_mean(e.value->text, choices)));
    return std::nullopt;
}

bool reader::boolean(std::string_view shown, entry const& e) {
    auto const& text = e.value->text;
    bool const yes = text == "true" || text == "yes" || text == "on";
    if (!yes && text != "false" && text != "no" && text != "off") report(e.value->where, fmt::format("{} must be true or false, not {}", shown, in_quotes(text)));
    return yes;
}

std::optional<std::string> reader::read_expression(std::string const& shown, entry const& e, bool written) {
    if (auto const mistake = expression_mistake(e.value->text, written ? expression_use::written : expression_use::read)) {
        report(e.value->where, fmt::format("{} {}", shown, *mistake));
        return std::nullopt;
    }
    return e.value->text;
}

std::optional<action> reader::read_action(std::string_view subject, std::string_view does, entries const& given) {
    auto const& about = *given.at(subject);
    auto const& says = *given.at(does);
    auto const& text = about.value->text;
    auto const place = about.value->where;
    if (subject == "statement") return read_statement(about, does, says);
    if (subject == "column") {
        auto column = or_report(subject, place, parse_column_name(text));
        return column ? read_column(std::move(*column), does, says) : std::nullopt;
    }
    if (subject == "enum") {
        auto label = or_report(subject, place, parse_label_name(text));
        if (!label) return std::nullopt;
        label->now = parse_label(says.value->text);
        if (label->now == label->label) return report(says.where, "now is the old label"), std::nullopt;
        return std::move(*label);
    }
    auto object = or_report(subject, place, parse_object_name(text));
    if (!object) return std::nullopt;
    if (does != "now") return read_table(std::move(*object), does, says);
    auto now = or_report(does, says.value->where, parse_object_name(says.value->text));
    if (!now) return std::nullopt;
    if (now->name == object->name && (now->schema == object->schema || now->schema.empty())) return report(says.where, "now is the old name"), std::nullopt;
    constexpr std::string_view kinds[] = {"table", "function", "type", "sequence"}; // in the order of object_kind
    auto const kind = std::find(std::begin(kinds), std::end(kinds), subject) - std::begin(kinds);
    return object_renamed{static_cast<object_kind>(kind), std::move(*object), std::move(*now)};
}

std::optional<action> reader::read_column(column_name column, std::string_view does, entry const& e) {
    if (does == "gone") return read_gone(std::move(column), e);
    if (does == "default") {
        auto expression = read_expression("default", e, true);
        return expression ? std::optional<action>{column_default{std::move(column), std::move(*expression)}} : std::nullopt;
    }
    auto now = parse_name(e.value->text);
    if (!now) {
        bool const longer = parse_column_name(e.value->text).has_value();
        report(e.value->where, fmt::format("now {}{}", now.error().text, longer ? ": a column stays in its table, so that is named by its name alone" : ""));
        return std::nullopt;
    }
    if (*now == column.column) return report(e.where, "now is the old name"), std::nullopt;
    return column_renamed{std::move(column), std::move(*now)};
}

std::optional<action> reader::read_gone(column_name column, entry const& e) {
    column_gone out{std::move(column), {}, {}};
    auto const before = mistakes_;
    for (auto const& [name, given] : known("gone", "gone.", *e.value)) {
        if (given == nullptr) continue;
        if (name == "read") out.read = read_expression("gone.read", *given, false);
        if (name == "write")
            if (auto const chosen = choice("gone", "gone.write", *given)) out.write = static_cast<column_gone::write_answer>(*chosen + 1);
    }
    if (mistakes_ != before) return std::nullopt;
    if (!out.read && out.write == column_gone::write_answer::refuse) return report(e.where, "gone is empty; it needs read, write or both"), std::nullopt;
    return out;
}

std::optional<action> reader::read_table(object_name table, std::string_view does, entry const& e) {
    auto const before = mistakes_;
    if (does == "star") {
        star_pinned out{std::move(table), {}};
        for (auto const& item : e.value->items) {
            if (item->kind != node_kind::scalar) {
                report(item->where, "star must be a list of names");
                continue;
            }
            auto name = or_report("star", item->where, parse_name(item->text));
            if (!name) continue;
            if (std::find(out.columns.begin(), out.columns.end(), *name) != out.columns.end()) report(item->where, fmt::format("star has {} twice", in_quotes(*name)));
            out.columns.push_back(std::move(*name));
        }
        if (e.value->items.empty()) report(e.where, "star is empty; it needs at least one column");
        return mistakes_ == before ? std::optional<action>{std::move(out)} : std::nullopt;
    }
    batch_split out{std::move(table), false};
    for (auto const& [name, given] : known("on_error", "on_error.", *e.value)) {
        if (given == nullptr) continue;
        if (name == "split") (void)choice("on_error", "on_error.split", *given);
        if (name != "dead_letter") continue;
        out.dead_letter = boolean("on_error.dead_letter", *given);
    }
    if (e.value->entries.empty()) report(e.where, "on_error is empty; it needs split");
    return mistakes_ == before ? std::optional<action>{out} : std::nullopt;
}

std::optional<action> reader::read_statement(entry const& statement, std::string_view does, entry const& e) {
    auto const sentence = [&](std::string_view shown, entry const& of, auto parsed) {
        if (!parsed) report(of.value->where, fmt::format("{}: {}", shown, parsed.error().text));
        return parsed;
    };
    parameter_names names;
    auto const numbered = [&](entry const& of) {
        auto out = names.numbered(of.value->text);
        if (names.mixed()) report(of.value->where, "parameters are written $1, $2, … or :name; not both in one rule");
        return out;
    };
    auto shape = sentence("statement", statement, statement_shape::compile(numbered(statement)));
    if (names.mixed()) return std::nullopt;
    if (does == "fallback") {
        auto const before = mistakes_;
        statement_fallback out;
        bool error = false;
        for (auto const& [name, given] : known("fallback", "fallback.", *e.value)) {
            if (given == nullptr) continue;
            if (name == "replica") out.replica = boolean("fallback.replica", *given);
            if (name == "error") error = boolean("fallback.error", *given);
            if (name != "stale") continue;
            auto const stale = yaml::parse_duration(given->value->text);
            if (!stale || stale->count() == 0 || *stale > longest_stale)
                report(given->value->where, fmt::format("fallback.stale must be a duration such as 5m (ms, s, m, h), not {}", in_quotes(given->value->text)));
            else out.stale = *stale;
        }
        bool const answers = out.replica || out.stale.count() > 0;
        if (mistakes_ == before && error && answers) report(e.where, "fallback.error goes with nothing else");
        if (mistakes_ == before && !error && !answers) report(e.where, "fallback says nothing; it needs stale, replica or error");
        if (!shape || mistakes_ != before) return std::nullopt;
        if (answers && !may_read(shape->text())) report(statement.value->where, "a fallback answers reads only: this statement never gets one", severity::warning);
        out.statement = std::move(*shape);
        return out;
    }
    auto now = sentence("replace", e, replacement_text::compile(numbered(e)));
    if (!shape || !now || names.mixed()) return std::nullopt;
    auto const lacking = [](std::vector<std::uint32_t> const& all, std::vector<std::uint32_t> const& some) -> std::optional<std::uint32_t> {
        for (auto const n : all)
            if (!std::binary_search(some.begin(), some.end(), n)) return n;
        return std::nullopt;
    };
    if (auto const n = lacking(now->parameters(), shape->parameters()))
        return report(e.value->where, fmt::format("replace has {}, which statement does not have", names.called(*n))), std::nullopt;
    if (auto const n = lacking(shape->parameters(), now->parameters()))
        return report(e.value->where, fmt::format("replace does not have {}, which statement has: every parameter must be carried over", names.called(*n))), std::nullopt;
    if (shape->match(scanned_text{now->text()})) report(e.value->where, "replace is what statement is already: it changes nothing", severity::warning);
    return statement_replaced{std::move(*shape), std::move(*now)};
}

} // namespace pgmend::rules
