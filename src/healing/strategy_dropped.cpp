// Columns that were dropped: reads become a typed NULL or a rule's expression, written values are left out.
#include "healing/situation.hpp"
#include "healing/splice.hpp"
#include "healing/token_view.hpp"
#include "healing/type_text.hpp"
#include "healing/write_target.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/sql/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::healing {
namespace {

using kind = sql::reference::kind_type;

refusal dropped(std::string reason) { return {std::move(reason), refusal_kind::dropped, {}}; }

/// Used once.
class dropped_columns {
  public:
    dropped_columns(situation const& at, past_meaning const& past)
        : at_{at}, past_{past}, tokens_{at.text.text(), at.text.tokens()} {}

    adapted run();

  private:
    struct gone {
        catalog::relation const* relation{nullptr}; ///< as it was
        catalog::column const* column{nullptr};
        [[nodiscard]] std::string full() const { return fmt::format("{}.{}.{}", relation->schema, relation->name, column->name); }
    };
    void fail(std::string reason) {
        if (!refusal_) refusal_ = dropped(std::move(reason));
    }
    [[nodiscard]] std::optional<gone> find(catalog::oid relation, std::int16_t number);
    [[nodiscard]] rules::column_gone const* rule_for(gone const& it);
    std::string read(gone const& it);
    [[nodiscard]] bool target(sql::reference const& it, gone const& what);
    void reference(sql::reference const& it, std::size_t index, gone const& what);
    [[nodiscard]] bool place_unknown(gone const& what);
    [[nodiscard]] bool is_lost(std::uint32_t byte) const;
    void star(sql::star const& it);
    void positional(sql::positional_target const& it);
    void leave_out_assignment(std::size_t set, std::size_t token, gone const& what);
    void insert_select(std::size_t select, std::size_t width, std::vector<std::pair<std::size_t, gone>> const& out);
    void insert_values(std::size_t after_list, std::size_t width, std::vector<std::pair<std::size_t, gone>> const& out);
    void leave_out(std::vector<token_view::item> const& items, std::vector<std::size_t> const& which);
    void lose(gone const& what, sql::span value);
    void keep_parameters();

    situation const& at_;
    past_meaning const& past_;
    token_view tokens_;
    adaptation made_;
    std::optional<refusal> refusal_;
    bool by_rule_{true};
    std::vector<std::pair<std::size_t, std::pair<std::size_t, gone>>> listed_; ///< open bracket of a list: column's place in it
    std::vector<std::pair<sql::span, catalog::oid>> lost_;
};

std::optional<dropped_columns::gone> dropped_columns::find(catalog::oid relation, std::int16_t number) {
    if (relation == 0 || number <= 0) return std::nullopt;
    auto const* was = past_.version->find(relation);
    auto const* is = at_.versions.now.find(relation);
    auto const* column = was != nullptr ? was->find_column(number) : nullptr;
    if (column == nullptr || is == nullptr || is->find_column(number) != nullptr) return std::nullopt;
    if (is->find_column(std::string_view{column->name}) != nullptr) {
        if (!refusal_) refusal_ = refusal{fmt::format("the name \"{}\" is now another column's", column->name), refusal_kind::name_reused, {}};
    }
    return gone{was, column};
}

rules::column_gone const* dropped_columns::rule_for(gone const& it) {
    rules::rule const* rule = nullptr;
    if (at_.known.rules != nullptr) {
        rule = at_.known.rules->column(it.relation->schema, it.relation->name, it.column->name, at_.asked.who);
    }
    auto const* says = rule != nullptr ? std::get_if<rules::column_gone>(&rule->does) : nullptr;
    if (says == nullptr) {
        by_rule_ = false;
    } else if (auto text = "rule " + rule->name; std::find(made_.patterns.begin(), made_.patterns.end(), text) == made_.patterns.end()) {
        made_.patterns.push_back(std::move(text));
    }
    return says;
}

/// What is written where the column was read. The comment keeps the place of an expression that knows the names of today.
std::string dropped_columns::read(gone const& it) {
    auto const* const rule = rule_for(it);
    if (it.column->type == 0) { // known to the rule alone: what it says to read has a type of its own
        if (rule == nullptr || !rule->read) {
            fail(fmt::format("column \"{}\" was dropped, and its rule does not say what to read", it.full()));
            return {};
        }
        auto text = fmt::format("(NULL/*pgmend {}*/)", made_.late.size());
        made_.late.emplace_back(text, fmt::format("({})", *rule->read));
        return text;
    }
    auto const type = written_type(*past_.version, it.column->type, it.column->type_modifier);
    if (!type) {
        fail(fmt::format("column \"{}\" was dropped, and its type cannot be written", it.full()));
        return {};
    }
    if (rule != nullptr && !rule->read) fail(fmt::format("column \"{}\" was dropped, and its rule does not say what to read", it.full()));
    auto const place = rule != nullptr ? fmt::format("/*pgmend {}*/", made_.late.size()) : std::string{};
    auto text = fmt::format("(NULL{}::{})", place, *type);
    if (rule != nullptr && rule->read) made_.late.emplace_back(text, fmt::format("(({})::{})", *rule->read, *type));
    if (rule == nullptr) made_.patterns.push_back(fmt::format("dropped column {}: read as NULL", it.full()));
    return text;
}

/// A column that is written to: it is left out, with its value. False: it is read.
bool dropped_columns::target(sql::reference const& it, gone const& what) {
    auto const token = tokens_.at(it.parts.front().begin);
    if (token == token_view::none || it.parts.size() != 1) return false;
    if (auto const set = set_keyword(tokens_, token); set != token_view::none) {
        leave_out_assignment(set, token, what);
        return true;
    }
    auto const open = insert_list(tokens_, token, past_.resolution);
    if (open == token_view::none) return false;
    auto const items = tokens_.items(open);
    auto const place = std::find_if(items.begin(), items.end(), [&](auto const& i) { return i.first == token; });
    if (place == items.end() || place->last != token) {
        fail("a field of a dropped column is written");
    } else {
        listed_.push_back({open, {static_cast<std::size_t>(place - items.begin()), what}});
    }
    return true;
}

void dropped_columns::reference(sql::reference const& it, std::size_t index, gone const& what) {
    auto const token = tokens_.at(it.parts.front().begin);
    auto const last = tokens_.at(it.parts.back().begin);
    if (token == token_view::none || last == token_view::none) return fail("the way a name is written is not understood");
    if (it.called || (token > 0 && tokens_.is(token - 1, ".") && it.parts.size() == 1)) return fail(fmt::format("column \"{}\" was dropped, and is read as a field of a row", what.full()));
    // A name in ON CONFLICT or a list of SET (a, b) is no expression: the adapted text would not parse, or mean something else.
    auto text = read(what);
    made_.edits.push_back({it.parts.front().begin, it.parts.back().end, std::move(text)});
    for (auto const& label : past_.resolution.labels) {
        if (label.reference != index) continue;
        if (label.at == 0) return fail("the end of an output column was not found");
        made_.edits.push_back({label.at, label.at, " AS " + sql::quoted_name(label.label)});
    }
}

/// True: only a rule knows of the column, and the statement depends on where in the table it was.
bool dropped_columns::place_unknown(gone const& what) {
    if (what.column->type != 0) return false;
    fail(fmt::format("column \"{}\" is known to a rule alone, and nobody knows where in the table it was", what.full()));
    return true;
}

bool dropped_columns::is_lost(std::uint32_t byte) const {
    return std::any_of(lost_.begin(), lost_.end(), [&](auto const& it) { return byte >= it.first.begin && byte < it.first.end; });
}

void dropped_columns::star(sql::star const& it) {
    auto const any = std::any_of(it.columns.begin(), it.columns.end(), [&](auto const& c) { return find(c.relation, c.column).has_value(); });
    if (!any) return;
    if (!it.certain) return fail("a * covers a dropped column, and no single version fits the statement");
    std::string list;
    for (auto const& column : it.columns) {
        if (auto const what = find(column.relation, column.column); what && place_unknown(*what)) return;
        if (column.qualifier.empty()) return fail("a * covers columns that cannot be written out (a join with USING)");
        if (!list.empty()) list += ", ";
        if (auto const what = find(column.relation, column.column)) {
            list += read(*what);
            if (it.labels_matter) list += " AS " + sql::quoted_name(column.label);
        } else {
            list += fmt::format("{}.{}", sql::quoted_name(column.qualifier), sql::quoted_name(column.label));
        }
    }
    made_.edits.push_back({it.text.begin, it.text.end, std::move(list)});
}

void dropped_columns::positional(sql::positional_target const& it) {
    auto const* was = past_.version->find(it.relation);
    std::vector<std::pair<std::size_t, gone>> out;
    std::string list;
    for (std::size_t i = 0; i < it.columns.size(); ++i) {
        if (auto const what = find(it.relation, it.columns[i])) {
            if (place_unknown(*what)) return;
            out.emplace_back(i, *what);
            continue;
        }
        auto const* column = was != nullptr ? was->find_column(it.columns[i]) : nullptr;
        if (column == nullptr) return fail("the columns of an INSERT without a list are not known");
        list += (list.empty() ? "" : ", ") + sql::quoted_name(column->name);
    }
    if (out.empty()) return;
    if (it.every_column) return fail("COPY without a list of columns, and a column was dropped");
    if (list.empty()) return fail("every column that the INSERT writes was dropped");
    made_.edits.push_back({it.list_at, it.list_at, fmt::format(" ({})", list)});
    insert_values(tokens_.from(it.list_at), it.columns.size(), out);
}

/// `token` is what follows the column list.
void dropped_columns::insert_values(std::size_t token, std::size_t width, std::vector<std::pair<std::size_t, gone>> const& out) {
    if (tokens_.is(token, "overriding")) token += 3;
    if (tokens_.is(token, "select")) return insert_select(token, width, out);
    if (!tokens_.is(token, "values")) return fail(fmt::format("column \"{}\" was dropped, and is written by an INSERT without VALUES", out.front().second.full()));
    ++token;
    std::vector<std::size_t> which;
    for (auto const& [place, what] : out) which.push_back(place);
    while (tokens_.is(token, "(")) {
        auto const values = tokens_.items(token);
        if (values.size() != width) return fail("a row of VALUES has another number of values than there are columns");
        for (auto const& [place, what] : out) lose(what, tokens_.bytes(values[place]));
        leave_out(values, which);
        token = tokens_.closing(token) + 1; // the text was parsed: each bracket closes
        if (!tokens_.is(token, ",")) break;
        ++token;
    }
}

/// INSERT … SELECT: the output columns are left out where nothing else depends on them. What they would have written is not in the
/// text, so it cannot be kept: only a rule may discard it.
void dropped_columns::insert_select(std::size_t select, std::size_t width, std::vector<std::pair<std::size_t, gone>> const& out) {
    static constexpr std::string_view enders[] = {"from", "where", "group", "having", "window", "union", "intersect", "except", "order",
                                                  "limit", "offset", "fetch", "for", "on", "returning"};
    auto const& name = out.front().second;
    for (auto const& [place, what] : out) {
        auto const* rule = rule_for(what);
        if (rule == nullptr || rule->write != rules::column_gone::write_answer::discard) {
            return fail(fmt::format("column \"{}\" was dropped, and is written by an INSERT … SELECT, whose values cannot be kept; a rule can say write: discard", what.full()));
        }
    }
    auto const end = at_.text.statements()[at_.index].end;
    std::vector<token_view::item> items;
    auto first = select + 1;
    bool simple = !tokens_.is(first, "distinct") && !tokens_.is(first, "all");
    auto i = first;
    for (int cases = 0;; ++i) {
        bool const over = i >= tokens_.size() || tokens_[i].begin >= end || tokens_.is(i, ";") ||
                          (cases == 0 && std::any_of(std::begin(enders), std::end(enders), [&](auto word) { return tokens_.is(i, word); }));
        if (over || (cases == 0 && tokens_.is(i, ","))) {
            if (i == first) return fail("the way SELECT is written is not understood");
            items.push_back({first, i - 1});
            first = i + 1;
        } else if (tokens_.is(i, "case")) {
            ++cases;
        } else if (tokens_.is(i, "end") && cases > 0) {
            --cases;
        } else if (tokens_.is(i, "(") || tokens_.is(i, "[")) {
            i = tokens_.closing(i);
            if (i == token_view::none) return fail("the way SELECT is written is not understood");
        } else if (tokens_.is(i, "*") && (i == first || tokens_.is(i - 1, "."))) {
            simple = false;
        }
        if (over) break;
    }
    // Behind FROM and WHERE nothing may count output columns, or make groups of them.
    for (int depth = 0; i < tokens_.size() && tokens_[i].begin < end; ++i) {
        if (tokens_.is(i, "(")) ++depth;
        if (tokens_.is(i, ")")) --depth;
        if (depth != 0) continue;
        for (auto const* word : {"group", "union", "intersect", "except", "order", "window", "having"}) simple = simple && !tokens_.is(i, word);
    }
    if (!simple || items.size() != width) return fail(fmt::format("column \"{}\" was dropped, and is written by an INSERT … SELECT that is not simple enough to leave it out", name.full()));
    std::vector<std::size_t> which;
    for (auto const& [place, what] : out) {
        for (auto t = items[place].first; t <= items[place].last; ++t) {
            if (tokens_.is(t, "(")) return fail(fmt::format("column \"{}\" was dropped, and what an INSERT … SELECT computes for it may have an effect of its own", what.full()));
        }
        lose(what, tokens_.bytes(items[place]));
        which.push_back(place);
    }
    leave_out(items, which);
}

/// Removes items of a comma-separated list, each with a comma of its own.
void dropped_columns::leave_out(std::vector<token_view::item> const& items, std::vector<std::size_t> const& which) {
    if (which.size() >= items.size()) return fail("every column that the statement writes was dropped");
    auto const left_out = [&](std::size_t i) { return std::find(which.begin(), which.end(), i) != which.end(); };
    for (std::size_t i = 0; i < items.size();) {
        if (!left_out(i)) {
            ++i;
            continue;
        }
        auto end = i;
        while (end + 1 < items.size() && left_out(end + 1)) ++end;
        auto const begins = i == 0 ? tokens_[items[i].first].begin : tokens_[items[i - 1].last].end;
        auto const ends = i == 0 ? tokens_[items[end + 1].first].begin : tokens_[items[end].last].end;
        made_.edits.push_back({begins, ends, ""});
        i = end + 1;
    }
}

void dropped_columns::leave_out_assignment(std::size_t set, std::size_t token, gone const& what) {
    static constexpr std::string_view enders[] = {"from", "where", "returning", "when", ";"};
    std::vector<token_view::item> items;
    std::size_t place = token_view::none;
    auto first = set + 1;
    for (auto i = first;; ++i) {
        bool const end = i >= tokens_.size() || tokens_.is(i, ")") || tokens_[i].begin >= at_.text.statements()[at_.index].end ||
                         std::any_of(std::begin(enders), std::end(enders), [&](auto word) { return tokens_.is(i, word); });
        if (end || tokens_.is(i, ",")) {
            if (first == token) place = items.size();
            items.push_back({first, i - 1});
            first = i + 1;
        } else if (tokens_.is(i, "(") || tokens_.is(i, "[")) {
            i = tokens_.closing(i);
            if (i == token_view::none) return fail("the way SET is written is not understood");
        } else if (tokens_.is(i, "case")) { // WHEN and FROM stand inside
            for (int depth = 0; i < tokens_.size(); ++i) {
                if (tokens_.is(i, "case")) ++depth;
                if (tokens_.is(i, "end") && --depth == 0) break;
            }
        }
        if (end) break;
    }
    if (place == token_view::none || items[place].last < token + 2) return fail("the way SET is written is not understood");
    lose(what, tokens_.bytes({token + 2, items[place].last}));
    // Several of one list are left out together, by one edit each way; two neighbours would overlap, and are refused.
    leave_out(items, {place});
}

void dropped_columns::lose(gone const& what, sql::span value) {
    auto const* rule = rule_for(what);
    if (rule != nullptr && rule->write == rules::column_gone::write_answer::refuse) {
        return fail(fmt::format("column \"{}\" was dropped, and its rule refuses writes", what.full()));
    }
    if (rule == nullptr) {
        auto pattern = fmt::format("dropped column {}: written value left out", what.full());
        if (std::find(made_.patterns.begin(), made_.patterns.end(), pattern) == made_.patterns.end()) made_.patterns.push_back(std::move(pattern));
    }
    lost_.emplace_back(value, what.column->type);
    if (rule != nullptr && rule->write == rules::column_gone::write_answer::discard) return;
    auto entry = std::find_if(made_.losses.begin(), made_.losses.end(), [&](loss const& it) { return it.column == what.full(); });
    if (entry == made_.losses.end()) entry = made_.losses.insert(entry, loss{at_.index, what.full(), {}});
    entry->values.push_back({value.begin, value.end, at_.text.text().substr(value.begin, value.end - value.begin)});
}

/// A parameter that is left out keeps its number, and needs a declared type then.
void dropped_columns::keep_parameters() {
    std::size_t most = at_.asked.parameter_types.size();
    auto const number = [&](std::size_t i) -> std::size_t {
        if (tokens_[i].kind != sql::token_kind::parameter || tokens_.text(i).size() > 6) return 0;
        std::size_t n = 0;
        for (char const c : tokens_.text(i).substr(1)) n = n * 10 + static_cast<std::size_t>(c - '0');
        return n;
    };
    for (std::size_t i = 0; i < tokens_.size(); ++i) most = std::max(most, number(i));
    std::vector<catalog::oid> types(most, 0);
    std::copy(at_.asked.parameter_types.begin(), at_.asked.parameter_types.end(), types.begin());
    bool any = false;
    for (auto const& [span, type] : lost_) {
        for (auto i = tokens_.from(span.begin); i < tokens_.size() && tokens_[i].begin < span.end; ++i) {
            auto const n = number(i);
            if (n == 0 || types[n - 1] != 0) continue;
            bool elsewhere = false; // there it gets its type as before
            for (std::size_t k = 0; k < tokens_.size() && !elsewhere; ++k) {
                bool const left_out = std::any_of(lost_.begin(), lost_.end(), [&](auto const& l) {
                    return tokens_[k].begin >= l.first.begin && tokens_[k].begin < l.first.end;
                });
                elsewhere = !left_out && number(k) == n;
            }
            if (elsewhere) continue;
            bool const alone = tokens_.at(span.begin) == i && tokens_[i].end == span.end;
            types[n - 1] = alone && type != 0 ? type : 25; // inside an expression its type is not known: text takes whatever is sent as text
            any = true;
        }
    }
    if (any || !lost_.empty()) made_.parameter_types = std::move(types);
    if (made_.parameter_types && made_.parameter_types->empty()) made_.parameter_types.reset();
}

adapted dropped_columns::run() {
    if (!past_.version) return dropped("a column was dropped, and no single version fits the statement");
    auto const& meant = past_.resolution;
    // What is written first: what only a value that is left out reads does not count.
    std::vector<std::size_t> reads;
    for (std::size_t i = 0; i < meant.references.size() && !refusal_; ++i) {
        auto const& it = meant.references[i];
        if (it.kind != kind::column) continue; // what a subquery passes on is replaced inside of it
        auto const what = find(it.relation, it.column);
        if (what && !target(it, *what)) reads.push_back(i);
    }
    for (auto const& it : meant.merged) {
        if (find(it.left_relation, it.left_column) || find(it.right_relation, it.right_column)) fail("a column of USING or NATURAL was dropped");
    }
    for (auto const& it : meant.positional_targets) positional(it);
    while (!listed_.empty() && !refusal_) {
        auto const open = listed_.front().first;
        std::vector<std::pair<std::size_t, gone>> out;
        std::vector<std::size_t> which;
        for (auto const& [list, entry] : listed_) {
            if (list != open) continue;
            out.push_back(entry);
            which.push_back(entry.first);
        }
        std::erase_if(listed_, [&](auto const& it) { return it.first == open; });
        auto const items = tokens_.items(open);
        leave_out(items, which);
        if (!refusal_) insert_values(tokens_.closing(open) + 1, items.size(), out);
    }
    for (auto const i : reads) {
        auto const& it = meant.references[i];
        if (!refusal_ && !is_lost(it.parts.front().begin)) reference(it, i, *find(it.relation, it.column));
    }
    for (auto const& it : meant.stars) {
        if (!refusal_ && !is_lost(it.text.begin)) star(it);
    }
    if (refusal_) return *refusal_;
    if (made_.edits.empty()) return dropped("what was dropped is not a column that can be left out");
    if (!put_in_order(made_.edits)) return dropped("two columns that were dropped stand side by side");
    keep_parameters();
    made_.evidence = by_rule_ ? evidence::rule : evidence::lineage;
    made_.equal = by_rule_;
    made_.note = made_.losses.empty() ? "the column was dropped: the statement reads NULL in its place"
                                      : "the column was dropped: what the statement writes to it is left out, and kept in the audit record";
    return std::move(made_);
}

} // namespace

adapted without_dropped_columns(situation const& at, past_meaning const& past) { return dropped_columns{at, past}.run(); }

} // namespace pgmend::healing
