#include "pgmend/healing/bound_labels.hpp"

#include "pgmend/base/text.hpp"
#include "pgmend/sql/array_text.hpp"
#include "pgmend/sql/facts.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/wire/cursor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace pgmend::healing {
namespace {

using renamed = std::function<std::optional<std::string>(base::byte_view)>;

std::optional<std::string> text_array(base::byte_view value, renamed const& now) {
    auto const elements = sql::array_elements(value);
    if (!elements) return std::nullopt;
    std::string out;
    std::size_t copied = 0;
    for (auto const& it : *elements) {
        auto const is = it.value ? now(*it.value) : std::nullopt;
        if (!is) continue;
        out.append(value.substr(copied, it.begin - copied)).append(sql::array_element_of(*is));
        copied = it.end;
    }
    if (copied == 0) return std::nullopt;
    return out.append(value.substr(copied));
}

/// array_send: dimensions, whether there are NULLs, the elements' type; of each dimension its length and lower bound; the elements.
std::optional<std::string> binary_array(base::byte_view value, renamed const& now) {
    wire::cursor in{value};
    auto const dimensions = in.i32();
    (void)in.i32();
    (void)in.i32();
    if (!in.ok() || dimensions < 1 || dimensions > 6) return std::nullopt;
    for (std::int32_t i = 0; i < 2 * dimensions; ++i) (void)in.i32();
    if (!in.ok()) return std::nullopt;
    std::string out{value.substr(0, value.size() - in.rest().size())};
    bool changed = false;
    while (in.ok() && !in.rest().empty()) {
        auto const length = in.i32();
        auto const label = length < 0 ? base::byte_view{} : in.bytes(static_cast<std::size_t>(length));
        if (!in.ok()) return std::nullopt;
        auto const is = length < 0 ? std::nullopt : now(label);
        changed = changed || is;
        base::append_u32(out, is ? static_cast<std::uint32_t>(is->size()) : static_cast<std::uint32_t>(length));
        out.append(is ? base::byte_view{*is} : label);
    }
    if (!changed) return std::nullopt;
    return out;
}

/// Looks for the labels of one statement's values; holds what is found of each, since values may have the same ones many times.
class value_search {
  public:
    value_search(question const& asked, knowledge const& known) : asked_{asked}, known_{known}, writes_{sql::plain_statement(asked.sql) != sql::statement_kind::select} {
        if (!writes_) return;
        for (auto i = learning::evidence_names.size(); i-- > 0;) {
            auto const of = static_cast<evidence>(i);
            known_.policy.set_reads(of, known_.policy.writes(of)); // a label is asked about by a SELECT
        }
    }

    value_verdict run(std::vector<bound_value> values);

  private:
    struct enum_type {
        catalog::type_entry const* type{nullptr};
        bool array{false};
    };
    [[nodiscard]] enum_type enum_of(catalog::oid id) const;
    [[nodiscard]] std::optional<std::string> today(catalog::type_entry const& type, base::byte_view label);
    [[nodiscard]] verdict ask(catalog::type_entry const& type, base::byte_view label) const;
    [[nodiscard]] std::optional<std::string> take(catalog::type_entry const& type, plan const& found);
    void fill(plan& made) const;

    question const& asked_;
    knowledge known_;
    bool writes_;
    plan plan_;
    std::optional<refusal> hopeless_; ///< a value is left that no heal helps: then the error is the one of the first
    std::map<std::pair<catalog::oid, std::string>, std::string> found_;
};

value_search::enum_type value_search::enum_of(catalog::oid id) const {
    auto const& now = known_.schema->current();
    auto const* type = now.find_type(id);
    for (int steps = 0; steps < 8 && type != nullptr && type->kind == 'd'; ++steps) type = now.find_type(type->base);
    bool const array = type != nullptr && type->element != 0;
    if (array) type = now.find_type(type->element);
    if (type != nullptr && type->kind != 'e') type = nullptr;
    return {type, array};
}

/// As if it were a literal.
verdict value_search::ask(catalog::type_entry const& type, base::byte_view label) const {
    auto const literal = sql::quoted_literal(label);
    if (!literal) return refusal{"a value cannot be written as a literal", refusal_kind::not_drift, {}};
    auto const text = fmt::format("SELECT {}::{}.{}", *literal, sql::quoted_name(type.schema), sql::quoted_name(type.name));
    question one{text, asked_.session, {}, {}, asked_.error, {}, {}, asked_.who};
    if (one.error) one.error->position = 8;
    return judge(one, known_);
}

std::optional<std::string> value_search::take(catalog::type_entry const& type, plan const& found) {
    if (found.renamings.size() != 1) return std::nullopt;
    auto const prefix = fmt::format("{}.{}.", type.schema, type.name);
    auto const& after = found.renamings.front().after;
    if (!after.starts_with(prefix)) return std::nullopt;
    bool const counted = std::find(plan_.patterns.begin(), plan_.patterns.end(), found.pattern) != plan_.patterns.end();
    if (!counted) {
        plan_.evidence = plan_.patterns.empty() ? found.evidence : learning::weaker(plan_.evidence, found.evidence);
        plan_.pattern += (plan_.patterns.empty() ? "" : "; ") + found.pattern;
        plan_.patterns.push_back(found.pattern);
        plan_.renamings.push_back(found.renamings.front());
    }
    return after.substr(prefix.size());
}

/// What a label is called now; nothing: as it is, or it may not be said.
std::optional<std::string> value_search::today(catalog::type_entry const& type, base::byte_view label) {
    bool const known = std::any_of(type.labels.begin(), type.labels.end(), [&](auto const& one) { return one.label == label; });
    if (known || hopeless_) return std::nullopt;
    auto& is = found_[{type.id, std::string{label}}];
    if (!is.empty()) return is;
    auto answer = ask(type, label);
    if (auto const* made = std::get_if<plan>(&answer)) is = take(type, *made).value_or(std::string{});
    if (!is.empty()) return is;
    auto* why = std::get_if<refusal>(&answer);
    bool const drifted = why != nullptr && why->kind != refusal_kind::not_drift && why->kind != refusal_kind::forward_drift;
    if (drifted) hopeless_ = std::move(*why);
    else hopeless_ = refusal{"a value is no label of its enum, and never was", refusal_kind::not_drift, {}};
    for (auto& it : hopeless_->proposals) fill(it.what);
    return std::nullopt;
}

/// The text stays what it is; nothing is kept of this, since each such value has to fail first.
void value_search::fill(plan& made) const {
    made.edits.clear();
    made.identifiers.clear();
    made.sql = asked_.sql;
    made.once = true;
    planned_statement whole;
    whole.end = static_cast<std::uint32_t>(made.sql.size());
    whole.writes = writes_;
    made.healed = {std::move(whole)};
}

value_verdict value_search::run(std::vector<bound_value> values) {
    value_plan made;
    for (auto& it : values) {
        auto const [type, array] = enum_of(it.type);
        if (type == nullptr) continue;
        auto other = with_labels(it.was, array, [this, type = type](base::byte_view label) { return today(*type, label); });
        if (hopeless_) return std::move(*hopeless_);
        if (!other) continue;
        it.is = std::move(*other);
        made.values.push_back(std::move(it));
    }
    if (made.values.empty()) return refusal{"no value is a label that was renamed", refusal_kind::not_drift, {}};
    bool const plain = std::all_of(made.values.begin(), made.values.end(), [](bound_value const& it) { return base::is_ascii(it.is); });
    if (!plain && asked_.session.client_encoding != "UTF8") {
        return refusal{"a label is not plain ASCII, and the client's encoding is not UTF-8", refusal_kind::not_understood, {}};
    }
    fill(plan_);
    made.what = std::move(plan_);
    return made;
}

} // namespace

std::optional<std::string> with_labels(base::byte_view value, bool array, renamed const& now) {
    if (!array) return now(value);
    // The binary form begins with the number of dimensions: 0 to 6.
    return value.starts_with('\0') ? binary_array(value, now) : text_array(value, now);
}

value_verdict judge_values(question const& asked, std::vector<bound_value> values, knowledge const& known) { return value_search{asked, known}.run(std::move(values)); }

} // namespace pgmend::healing
