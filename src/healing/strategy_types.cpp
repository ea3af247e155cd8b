// Columns whose type changed in a way that loses nothing: cast back where the type can be seen.
#include "healing/situation.hpp"
#include "healing/splice.hpp"
#include "healing/token_view.hpp"
#include "healing/type_text.hpp"
#include "healing/version_source.hpp"
#include "healing/write_target.hpp"
#include "pgmend/sql/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace pgmend::healing {
namespace {

using kind = sql::reference::kind_type;
using catalog::oid;

constexpr oid int8_type = 20, int2_type = 21, int4_type = 23, text_type = 25, texts_type = 1009, varchars_type = 1015, varchar_type = 1043, numeric_type = 1700, uuid_type = 2950;

enum class change : std::uint8_t {
    none,
    modifier, ///< the same type and values, another modifier: only the description tells
    label,    ///< text and varchar, and arrays of them: the same values under another type
    integer,  ///< a wider integer: comparisons are exact, a cast back is exact or an error (22003)
    spelled,  ///< uuid written out as a text: a cast back is exact or an error (22P02)
    labelled, ///< a text that became an enum: a cast back is exact; what is written is a label, or an error (22P02)
    unproven,
};

change compare(catalog::column const& was, catalog::column const& is, bool is_enum) {
    if (was.type == is.type && was.type_modifier == is.type_modifier) return change::none;
    if (was.type == is.type) {
        auto const scale = [](catalog::column const& c) { return c.type_modifier < 0 ? -1 : (c.type_modifier - 4) & 0x7ff; };
        if (was.type == varchar_type || was.type == varchars_type) return change::modifier;
        if (was.type == numeric_type && scale(was) == scale(is)) return change::modifier;
        return change::unproven; // char(n) pads, numeric's scale is shown, precision rounds
    }
    bool const texts = (was.type == text_type || was.type == varchar_type) && (is.type == text_type || is.type == varchar_type);
    bool const arrays = (was.type == texts_type || was.type == varchars_type) && (is.type == texts_type || is.type == varchars_type);
    if (texts || arrays) return is.type_modifier < 0 ? change::label : change::unproven;
    if ((was.type == text_type || was.type == varchar_type) && is_enum) return change::labelled;
    constexpr std::int32_t room_for_a_uuid = 36 + 4;
    bool const fits = is.type == text_type || (is.type == varchar_type && (is.type_modifier < 0 || is.type_modifier >= room_for_a_uuid));
    if (was.type == uuid_type && fits) return change::spelled;
    bool const wider = (was.type == int2_type && (is.type == int4_type || is.type == int8_type)) || (was.type == int4_type && is.type == int8_type);
    return wider ? change::integer : change::unproven;
}

/// Used once.
class casts {
  public:
    casts(situation const& at, past_meaning const& past) : at_{at}, past_{past}, tokens_{at.text.text(), at.text.tokens()} {}

    adapted run();

  private:
    [[nodiscard]] change of(oid relation, std::int16_t number) const;
    [[nodiscard]] std::string cast(oid relation, std::int16_t number) const;
    void note(oid relation, std::int16_t number, std::string const& name);
    void reference(sql::reference const& it);
    [[nodiscard]] std::string values_cast(oid relation, std::int16_t number) const;
    void written(std::size_t token, sql::reference const& it);
    void written_values(std::size_t after_list, std::size_t width, std::vector<std::pair<std::size_t, std::string>> const& which);
    void cast_value(token_view::item value, std::string const& type);
    [[nodiscard]] bool copied(std::size_t token) const;
    [[nodiscard]] bool copies_as_before(change what) const;
    void not_proven(oid relation, std::int16_t number);
    void star(sql::star const& it);
    [[nodiscard]] bool compared(std::size_t first, std::size_t last) const;
    void fail(std::string reason) {
        if (!refusal_) refusal_ = refusal{std::move(reason), refusal_kind::changed_type, {}};
    }

    situation const& at_;
    past_meaning const& past_;
    token_view tokens_;
    adaptation made_;
    std::optional<refusal> refusal_;
    std::map<std::size_t, std::vector<std::pair<std::size_t, std::string>>> listed_; ///< by the bracket of an INSERT's list: places in it, and casts
};

change casts::of(oid relation, std::int16_t number) const {
    if (relation == 0 || number <= 0) return change::none;
    auto const* was = past_.version->find(relation);
    auto const* is = at_.versions.now.find(relation);
    auto const* before = was != nullptr ? was->find_column(number) : nullptr;
    auto const* after = is != nullptr ? is->find_column(number) : nullptr;
    if (before == nullptr || after == nullptr) return change::none;
    auto const* type = at_.versions.now.find_type(after->type);
    return compare(*before, *after, type != nullptr && type->kind == 'e');
}

void casts::not_proven(oid relation, std::int16_t number) {
    auto const* was = past_.version->find(relation);
    auto const* before = was->find_column(number);
    auto const* after = at_.versions.now.find(relation)->find_column(number);
    auto const shown = [](catalog::snapshot const& version, catalog::column const& column) {
        auto text = written_type(version, column.type, column.type_modifier).value_or("another type");
        return text.starts_with("pg_catalog.") ? text.substr(std::string_view{"pg_catalog."}.size()) : text;
    };
    fail(fmt::format("column \"{}.{}.{}\" changed its type from {} to {}, and no cast back is proven to lose nothing", was->schema, was->name,
                     before->name, shown(*past_.version, *before), shown(at_.versions.now, *after)));
}

/// What a written value is cast to, where it matters; else empty.
std::string casts::values_cast(oid relation, std::int16_t number) const {
    switch (of(relation, number)) {
    case change::spelled: return cast(relation, number); // spelled as PostgreSQL spells it
    case change::labelled: {
        auto const* column = at_.versions.now.find(relation)->find_column(number);
        auto const type = written_type(at_.versions.now, column->type, -1);
        return type ? "::" + *type : "";
    }
    default: return "";
    }
}

void casts::cast_value(token_view::item value, std::string const& type) {
    auto const& first = tokens_[value.first];
    if (value.first == value.last && (tokens_.is(value.first, "default") || tokens_.is(value.first, "null"))) return;
    bool const single = value.first == value.last && (first.kind == sql::token_kind::parameter || first.kind == sql::token_kind::string);
    // The type may be one that the version which the statement is from did not have.
    auto place = fmt::format("/*pgmend cast {}*/", made_.late.size());
    if (!single) made_.edits.push_back({first.begin, first.begin, "("});
    auto const end = tokens_[value.last].end;
    made_.edits.push_back({end, end, (single ? "" : ")") + place});
    made_.late.emplace_back(std::move(place), type);
}

/// Whether the statement is COPY of a relation, and the token stands in its list of columns or in its options.
bool casts::copied(std::size_t token) const {
    auto const& statement = at_.text.statements()[at_.index];
    auto const first = tokens_.from(statement.begin);
    if (!tokens_.is(first, "copy") || tokens_.is(first + 1, "(")) return false;
    for (auto i = token; i-- > first;) {
        if (tokens_.is(i, "where")) return false;
    }
    return true;
}

/// As texts all of them look the same; what comes in for a uuid may be spelled in several ways.
bool casts::copies_as_before(change what) const {
    auto const& statement = at_.text.statements()[at_.index];
    for (auto i = tokens_.from(statement.begin); i < tokens_.size() && tokens_[i].begin < statement.end; ++i) {
        if (tokens_.is(i, "binary")) return what == change::label || what == change::modifier;
        if (tokens_.text(i) == "'binary'") return what == change::label || what == change::modifier;
    }
    return what != change::spelled || !past_.resolution.writes;
}

/// A value is put into the column.
void casts::written(std::size_t token, sql::reference const& it) {
    auto const type = values_cast(it.relation, it.column);
    if (type.empty()) return;
    if (auto const set = set_keyword(tokens_, token); set != token_view::none) {
        static constexpr std::string_view enders[] = {"from", "where", "returning", "when", ";", ","};
        auto last = token + 2;
        for (auto i = last; i < tokens_.size() && tokens_[i].begin < at_.text.statements()[at_.index].end; ++i) {
            if (tokens_.is(i, ")") || std::any_of(std::begin(enders), std::end(enders), [&](auto word) { return tokens_.is(i, word); })) break;
            if (tokens_.is(i, "(") || tokens_.is(i, "[")) i = tokens_.closing(i);
            if (tokens_.is(i, "case")) {
                for (int depth = 0; i < tokens_.size(); ++i) {
                    if (tokens_.is(i, "case")) ++depth;
                    if (tokens_.is(i, "end") && --depth == 0) break;
                }
            }
            last = i;
        }
        return cast_value({token + 2, last}, type);
    }
    auto const open = insert_list(tokens_, token, past_.resolution);
    if (open == token_view::none) {
        if (of(it.relation, it.column) == change::spelled) fail(fmt::format("column \"{}\" of an ON CONFLICT changed its type", it.name));
        return;
    }
    auto const items = tokens_.items(open);
    auto const place = std::find_if(items.begin(), items.end(), [&](auto const& i) { return i.first == token; });
    if (place == items.end() || place->last != token) return fail("a part of a column whose type changed is written");
    listed_[open].emplace_back(static_cast<std::size_t>(place - items.begin()), type);
}

/// `token` is what follows the column list.
void casts::written_values(std::size_t token, std::size_t width, std::vector<std::pair<std::size_t, std::string>> const& which) {
    if (tokens_.is(token, "overriding")) token += 3;
    if (!tokens_.is(token, "values")) return fail("a column whose type changed is written by an INSERT without VALUES");
    for (++token; tokens_.is(token, "("); ++token) {
        auto const values = tokens_.items(token);
        if (values.size() != width) return fail("a row of VALUES has another number of values than there are columns");
        for (auto const& [place, type] : which) cast_value(values[place], type);
        token = tokens_.closing(token) + 1;
        if (!tokens_.is(token, ",")) break;
    }
}

std::string casts::cast(oid relation, std::int16_t number) const {
    auto const* column = past_.version->find(relation)->find_column(number);
    // Not to varchar(n): an explicit cast would cut what is longer now, without a word.
    return "::" + written_type(*past_.version, column->type, -1).value_or("pg_catalog.text");
}

void casts::note(oid relation, std::int16_t number, std::string const& name) {
    made_.retyped.insert({relation, number});
    if (of(relation, number) == change::modifier) return;
    auto const* was = past_.version->find(relation);
    auto pattern = fmt::format("column {}.{}.{}: cast to the type that it had", was->schema, was->name, name);
    if (std::find(made_.patterns.begin(), made_.patterns.end(), pattern) == made_.patterns.end()) made_.patterns.push_back(std::move(pattern));
}

/// Whether the tokens are one whole side of a comparison, whose outcome a wider integer does not change.
bool casts::compared(std::size_t first, std::size_t last) const {
    static constexpr std::string_view operators[] = {"=", "<>", "!=", "<", ">", "<=", ">="};
    static constexpr std::string_view before[] = {"where", "and", "or", "on", "not", "having", "when", "("};
    static constexpr std::string_view behind[] = {"and", "or", ")", ";", "group", "order", "limit", "returning", "then", "for", "union",
                                                "having", "where", "join", "inner", "left", "right", "full", "cross", "natural", "window", "offset", "fetch"};
    auto const any = [&](auto const& list, std::size_t i) {
        return std::any_of(std::begin(list), std::end(list), [&](std::string_view word) { return tokens_.is(i, word); });
    };
    bool const starts = first > 0 && any(before, first - 1);
    if (starts && (any(operators, last + 1) || tokens_.is(last + 1, "in") || tokens_.is(last + 1, "is"))) return true;
    bool const ends = last + 1 >= tokens_.size() || any(behind, last + 1);
    return ends && first > 0 && any(operators, first - 1);
}

void casts::reference(sql::reference const& it) {
    auto const what = of(it.relation, it.column);
    if (what == change::none || it.column < 0) return;
    if (what == change::unproven) return not_proven(it.relation, it.column);
    auto const* was = past_.version->find(it.relation);
    note(it.relation, it.column, was->find_column(it.column)->name);
    if (what == change::modifier) return;
    if (it.called) return fail("a column whose type changed is written like a call");
    auto const first = tokens_.at(it.parts.front().begin);
    auto const last = tokens_.at(it.parts.back().begin);
    if (first == token_view::none || last == token_view::none) return fail("the way a name is written is not understood");
    if (it.parts.size() == 1 && copied(first)) {
        if (!copies_as_before(what)) fail(fmt::format("column \"{}\" is copied, and changed its type", it.name));
        return;
    }
    if (it.parts.size() == 1 && is_write_target(tokens_, first, past_.resolution)) return written(first, it);
    if (what == change::integer && compared(first, last)) return;
    if (what == change::label && tokens_.is(last + 1, "[")) { // an element, or a part, of what the whole was
        made_.edits.push_back({tokens_[first].begin, tokens_[first].begin, "("});
        made_.edits.push_back({tokens_[last].end, tokens_[last].end, cast(it.relation, it.column) + ")"});
        return;
    }
    if (tokens_.is(last + 1, "[") || tokens_.is(last + 1, ".")) return fail("a part of a column whose type changed is used");
    made_.edits.push_back({tokens_[last].end, tokens_[last].end, cast(it.relation, it.column)});
}

void casts::star(sql::star const& it) {
    auto const seen = [&](sql::star_column const& c) {
        auto const what = of(c.relation, c.column);
        if (what == change::unproven) not_proven(c.relation, c.column);
        if (what != change::none && !refusal_) note(c.relation, c.column, c.label);
        return what != change::none && what != change::modifier;
    };
    bool any = false;
    for (auto const& column : it.columns) any = seen(column) || any;
    if (!any || refusal_) return;
    if (!it.certain) return fail("a * covers a column whose type changed, and no single version fits the statement");
    std::string list;
    for (auto const& column : it.columns) {
        if (column.qualifier.empty()) return fail("a * covers columns that cannot be written out (a join with USING)");
        auto const what = of(column.relation, column.column);
        bool const wrapped = what != change::none && what != change::modifier;
        list += fmt::format("{}{}.{}{}", list.empty() ? "" : ", ", sql::quoted_name(column.qualifier), sql::quoted_name(column.label),
                            wrapped ? cast(column.relation, column.column) : "");
    }
    made_.edits.push_back({it.text.begin, it.text.end, std::move(list)});
}

adapted casts::run() {
    if (!past_.version) return refusal{"a column changed its type, and no single version fits the statement", refusal_kind::changed_type, {}};
    auto const& meant = past_.resolution;
    for (auto const& it : meant.references) {
        if (it.kind == kind::column || it.kind == kind::local) reference(it);
        if (it.kind != kind::whole_row || it.argument) continue;
        auto const* was = past_.version->find(it.relation);
        if (was == nullptr) continue;
        for (auto const& column : was->columns) {
            auto const what = of(it.relation, column.number);
            // As a document, or counted, all of these look as they did.
            if (it.value_only && what != change::none && what != change::unproven) {
                made_.retyped.insert({it.relation, column.number});
                continue;
            }
            if (what != change::none) fail(fmt::format("\"{}\" is used as a whole row, and its columns changed", it.name));
        }
    }
    for (auto const& it : meant.merged) {
        for (auto const what : {of(it.left_relation, it.left_column), of(it.right_relation, it.right_column)}) {
            if (what != change::none && what != change::modifier) fail("a column of USING or NATURAL changed its type");
        }
    }
    for (auto const& it : meant.stars) star(it);
    for (auto const& it : meant.positional_targets) {
        std::vector<std::pair<std::size_t, std::string>> which;
        for (std::size_t i = 0; i < it.columns.size(); ++i) {
            auto const number = it.columns[i];
            auto const what = of(it.relation, number);
            if (what == change::unproven) not_proven(it.relation, number);
            if (what != change::none && !refusal_) made_.retyped.insert({it.relation, number});
            if (it.every_column) { // COPY
                if (what != change::none && !copies_as_before(what)) fail("a column that COPY names or means changed its type");
                continue;
            }
            if (auto type = values_cast(it.relation, number); !type.empty()) which.emplace_back(i, std::move(type));
        }
        if (!which.empty() && !refusal_) written_values(tokens_.from(it.list_at), it.columns.size(), which);
    }
    for (auto const& [open, which] : listed_) {
        if (!refusal_) written_values(tokens_.closing(open) + 1, tokens_.items(open).size(), which);
    }
    if (refusal_) return *refusal_;
    if (!put_in_order(made_.edits)) return refusal{"two casts overlap", refusal_kind::not_understood, {}};
    made_.equal = true;
    // A cast to the type that a column had changes nothing: the same names, in the same order, still mean the same.
    auto const parsed = sql::parsed_text::parse(edited(at_.text.text(), made_.edits));
    if (!parsed || parsed->statements().size() != at_.text.statements().size()) {
        return refusal{"the statement with casts cannot be read", refusal_kind::unproven, {}};
    }
    version_source then{*past_.version, at_.asked.session};
    auto const outcome = parsed->resolve(at_.index, then, false);
    auto const* is = std::get_if<sql::resolution>(&outcome);
    if (is == nullptr) return refusal{"the statement with casts would not have fitted", refusal_kind::unproven, {}};
    if (is->columns.has_value() != meant.columns.has_value() ||
        (is->columns && !std::equal(is->columns->begin(), is->columns->end(), meant.columns->begin(), meant.columns->end(),
                                    [](auto const& a, auto const& b) { return a.label == b.label; }))) {
        return refusal{"a cast would change a label", refusal_kind::unproven, {}};
    }
    return std::move(made_);
}

} // namespace

adapted with_casts(situation const& at, past_meaning const& past) { return casts{at, past}.run(); }

bool types_differ(sql::resolution const& meant, catalog::snapshot const& then, catalog::snapshot const& now) {
    auto const differs = [&](oid relation, std::int16_t number) {
        auto const* was = relation != 0 && number > 0 ? then.find(relation) : nullptr;
        auto const* is = was != nullptr ? now.find(relation) : nullptr;
        auto const* before = was != nullptr ? was->find_column(number) : nullptr;
        auto const* after = is != nullptr ? is->find_column(number) : nullptr;
        return before != nullptr && after != nullptr && (before->type != after->type || before->type_modifier != after->type_modifier);
    };
    auto const row_differs = [&](oid relation) {
        auto const* was = then.find(relation);
        return was != nullptr && std::any_of(was->columns.begin(), was->columns.end(), [&](auto const& column) { return differs(relation, column.number); });
    };
    return std::any_of(meant.references.begin(), meant.references.end(), [&](auto const& it) {
               return it.kind == kind::whole_row ? row_differs(it.relation) : differs(it.relation, it.column);
           }) ||
           std::any_of(meant.merged.begin(), meant.merged.end(), [&](auto const& it) {
               return differs(it.left_relation, it.left_column) || differs(it.right_relation, it.right_column);
           }) ||
           std::any_of(meant.stars.begin(), meant.stars.end(), [&](auto const& it) {
               return std::any_of(it.columns.begin(), it.columns.end(), [&](auto const& column) { return differs(column.relation, column.column); });
           }) ||
           std::any_of(meant.positional_targets.begin(), meant.positional_targets.end(), [&](auto const& it) {
               return std::any_of(it.columns.begin(), it.columns.end(), [&](auto number) { return differs(it.relation, number); });
           });
}

} // namespace pgmend::healing
