#include "consistency.hpp"

#include "written_names.hpp"

#include "pgmend/yaml/suggestion.hpp"

#include "pgmend/base/overloaded.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <unordered_map>

namespace pgmend::rules {
namespace {

using yaml::severity;

constexpr std::size_t most_compared = 64; // rules about the same name that are compared with each other

/// What a rule is about: rules can only contradict each other where this is the same. Without schemas, because one may name it and the other
/// not.
std::string subject(rule const& r) {
    auto const column = [](column_name const& c) { return fmt::format("column\n{}\n{}", c.table, c.column); };
    return std::visit(base::overloaded{
                          [&](column_renamed const& a) { return column(a.column); },
                          [&](column_gone const& a) { return column(a.column); },
                          [&](column_default const& a) { return "default of " + column(a.column); },
                          [](label_renamed const& a) { return fmt::format("enum\n{}\n{}", a.type.name, a.label); },
                          [](object_renamed const& a) { return fmt::format("object {}\n{}", static_cast<int>(a.kind), a.object.name); },
                          [](star_pinned const& a) { return fmt::format("star\n{}", a.table.name); },
                          [](batch_split const& a) { return fmt::format("on_error\n{}", a.table.name); },
                          [](statement_replaced const& a) { return fmt::format("replace\n{}", a.statement.hash()); },
                          [](statement_fallback const& a) { return fmt::format("fallback\n{}", a.statement.hash()); },
                      },
                      r.does);
}

std::string_view schema(rule const& r) {
    return std::visit(base::overloaded{
                          [](label_renamed const& a) { return std::string_view{a.type.schema}; },
                          [](object_renamed const& a) { return std::string_view{a.object.schema}; },
                          [](star_pinned const& a) { return std::string_view{a.table.schema}; },
                          [](batch_split const& a) { return std::string_view{a.table.schema}; },
                          [](statement_replaced const&) { return std::string_view{}; },
                          [](statement_fallback const&) { return std::string_view{}; },
                          [](auto const& a) { return std::string_view{a.column.schema}; },
                      },
                      r.does);
}

statement_shape const* shape(rule const& r) {
    if (auto const* const a = std::get_if<statement_replaced>(&r.does)) return &a->statement;
    if (auto const* const a = std::get_if<statement_fallback>(&r.does)) return &a->statement;
    return nullptr;
}

bool have_common(std::vector<std::string> const& a, std::vector<std::string> const& b) {
    return a.empty() || b.empty() || std::any_of(a.begin(), a.end(), [&](auto const& name) { return std::find(b.begin(), b.end(), name) != b.end(); });
}

/// `^text` or `^text$`, where that is all there is to the expression: what the application's name begins with or is.
struct plain_beginning {
    std::string text;
    bool whole{false};
};
std::optional<plain_beginning> beginning(text_pattern const& pattern) {
    std::string_view text = pattern.expression();
    if (!text.starts_with('^')) return std::nullopt;
    text.remove_prefix(1);
    bool const whole = text.ends_with('$');
    if (whole) text.remove_suffix(1);
    if (text.find_first_of("\\.[](){}*+?|^$") != std::string_view::npos) return std::nullopt;
    return plain_beginning{std::string{text}, whole};
}

enum class overlap { none, possible, certain };

overlap overlap_of(condition const& a, condition const& b) {
    if (!have_common(a.databases, b.databases) || !have_common(a.users, b.users)) return overlap::none;
    if (!a.application_name || !b.application_name || *a.application_name == *b.application_name) return overlap::certain;
    auto const x = beginning(*a.application_name);
    auto const y = beginning(*b.application_name);
    if (!x || !y) return overlap::possible;
    bool const x_begins_y = y->text.starts_with(x->text);
    bool const y_begins_x = x->text.starts_with(y->text);
    if (!x_begins_y && !y_begins_x) return overlap::none;
    if ((x->whole && x->text.size() < y->text.size()) || (y->whole && y->text.size() < x->text.size())) return overlap::none;
    return x->whole && y->whole && x->text != y->text ? overlap::none : overlap::certain;
}

std::string place_of(rule const& other, rule const& beside) {
    return other.where.file == beside.where.file ? fmt::format("line {}", other.where.line) : fmt::format("{}:{}", other.where.file, other.where.line);
}

class checker {
  public:
    checker(std::vector<placed_rule> const& rules, std::chrono::sys_seconds now, std::vector<yaml::problem>& problems) : rules_{rules}, problems_{problems} {
        for (auto const& r : rules_)
            if (r.value.mode != rule_mode::off && !r.value.expired(now)) by_subject_[subject(r.value)].push_back(&r);
    }

    void run() {
        check_names();
        for (auto const& r : rules_) {
            auto const found = by_subject_.find(subject(r.value));
            if (found == by_subject_.end()) continue;
            auto const& group = found->second;
            auto const self = std::find(group.begin(), group.end(), &r);
            if (self == group.end()) continue;
            auto const first = group.size() > most_compared ? group.begin() + std::max<std::ptrdiff_t>(0, self - group.begin() - static_cast<std::ptrdiff_t>(most_compared)) : group.begin();
            for (auto other = first; other != self; ++other) compare(r, **other);
            check_gone_with_default(r);
            follow(r);
        }
    }

  private:
    void report(placed_rule const& r, yaml::position where, std::string message, severity level = severity::error) {
        problems_.push_back({r.value.where.file, where.line, where.column, level, std::move(message)});
    }

    void check_names() {
        std::unordered_map<std::string_view, placed_rule const*> seen;
        for (auto const& r : rules_) {
            auto const [first, is_new] = seen.try_emplace(r.value.name, &r);
            if (!is_new)
                report(r, r.where.name, fmt::format("duplicate rule name {}; it is already in {}", yaml::in_quotes(r.value.name), place_of(first->second->value, r.value)));
        }
    }

    void compare(placed_rule const& later, placed_rule const& earlier) {
        auto const& a = later.value;
        auto const& b = earlier.value;
        // One that names its schema goes before one that does not, one with a condition before one without: no contradiction.
        if (schema(a) != schema(b) || a.when.always() != b.when.always()) return;
        if (shape(a) != nullptr && !shape(a)->match(scanned_text{shape(b)->text()})) return;
        auto const both = overlap_of(a.when, b.when);
        if (both == overlap::none) return;
        auto const other = fmt::format("rule {} ({})", yaml::in_quotes(b.name), place_of(b, a));
        if (a.does == b.does) report(later, later.where.subject, fmt::format("says what {} says already", other), severity::warning);
        else if (both == overlap::certain) report(later, later.where.does, fmt::format("contradicts {}", other));
        else report(later, later.where.does, fmt::format("may contradict {}: where both apply, that one wins", other), severity::warning);
    }

    void check_gone_with_default(placed_rule const& r) {
        auto const* const gone = std::get_if<column_gone>(&r.value.does);
        if (gone == nullptr) return;
        auto const found = by_subject_.find(fmt::format("default of column\n{}\n{}", gone->column.table, gone->column.column));
        if (found == by_subject_.end()) return;
        for (auto const* other : found->second)
            if (schema(other->value) == gone->column.schema && overlap_of(other->value.when, r.value.when) == overlap::certain)
                return report(r, r.where.does, fmt::format("contradicts rule {} ({}), which gives the column a default", yaml::in_quotes(other->value.name), place_of(other->value, r.value)));
    }

    /// The rule that has this rule's new name as its old one.
    [[nodiscard]] placed_rule const* next(placed_rule const& r) const {
        std::string key;
        std::string_view in;
        if (auto const* const a = std::get_if<column_renamed>(&r.value.does)) {
            key = fmt::format("column\n{}\n{}", a->column.table, a->now);
            in = a->column.schema;
        } else if (auto const* const b = std::get_if<object_renamed>(&r.value.does)) {
            key = fmt::format("object {}\n{}", static_cast<int>(b->kind), b->now.name);
            in = b->now.schema.empty() ? b->object.schema : b->now.schema;
        } else if (auto const* const c = std::get_if<label_renamed>(&r.value.does)) {
            key = fmt::format("enum\n{}\n{}", c->type.name, c->now);
            in = c->type.schema;
        } else {
            return nullptr;
        }
        auto const found = by_subject_.find(key);
        if (found == by_subject_.end()) return nullptr;
        for (auto const* other : found->second)
            // `customers -> crm.customers` leads to itself, and does not apply there.
            if (other != &r && (in.empty() || schema(other->value).empty() || schema(other->value) == in))
                if (overlap_of(other->value.when, r.value.when) != overlap::none) return other;
        return nullptr;
    }

    /// Each circle is reported once, at its rule that comes first.
    void follow(placed_rule const& r) {
        auto const* second = next(r);
        if (second == nullptr) return;
        bool conditional = !r.value.when.always();
        bool first_of_circle = true;
        std::string path = r.value.name;
        std::size_t steps = 0;
        auto const* at = second;
        for (; at != nullptr && at != &r && steps < 100; at = next(*at), ++steps) {
            if (steps < 10) path += " -> " + at->value.name;
            if (at < &r) first_of_circle = false;
            conditional = conditional && !at->value.when.always();
        }
        if (at != &r) {
            report(r, r.where.does, fmt::format("what it is now is what rule {} ({}) calls an old name; rules are not followed one after the other: write what it is called today",
                                                yaml::in_quotes(second->value.name), place_of(second->value, r.value)), severity::warning);
        } else if (first_of_circle && !conditional) {
            // Names that were exchanged are a circle rightly, where only the old code's statements are meant.
            report(r, r.where.does, fmt::format("the rules {} -> {} go in a circle; give each a when that holds for the old code only", path, r.value.name));
        }
    }

    std::vector<placed_rule> const& rules_;
    std::vector<yaml::problem>& problems_;
    std::unordered_map<std::string, std::vector<placed_rule const*>> by_subject_;
};

} // namespace

void check_consistency(std::vector<placed_rule> const& rules, std::chrono::sys_seconds now, std::vector<yaml::problem>& problems) {
    checker{rules, now, problems}.run();
}

} // namespace pgmend::rules
