#include "session/tried_rows.hpp"

#include "pgmend/sql/lexer.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "session/own_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

namespace pgmend::session {
namespace {

using value_views = std::vector<std::optional<base::byte_view>>;

/// In any setting of standard_conforming_strings.
std::string literal_of(base::byte_view text) {
    if (auto plain = sql::quoted_literal(text)) return std::move(*plain);
    std::string out = " E'";
    for (char const c : text) out.append(c == '\'' || c == '\\' ? 2 : 1, c);
    return out += '\'';
}

/// A parameter in the text of a statement with one row.
struct place {
    sql::span at;
    std::size_t number{0};
    bool alone{false};     ///< it is a column's whole value
    bool subscript{false}; ///< `[` follows
};

std::vector<place> places_in(std::string const& text) {
    auto const list = sql::scan(text).tokens;
    auto const written = [&](std::size_t i) {
        return i < list.size() ? std::string_view{text}.substr(list[i].begin, list[i].end - list[i].begin) : std::string_view{};
    };
    std::vector<place> out;
    int round = 0;
    int square = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
        auto const it = written(i);
        round += it == "(" ? 1 : it == ")" ? -1 : 0;
        square += it == "[" ? 1 : it == "]" ? -1 : 0;
        if (list[i].kind != sql::token_kind::parameter) continue;
        auto const before = i > 0 ? written(i - 1) : std::string_view{};
        auto const after = written(i + 1);
        bool const alone = round == 1 && square == 0 && (before == "(" || before == ",") && (after == ")" || after == ",");
        out.push_back({{list[i].begin, list[i].end}, static_cast<std::size_t>(std::stoul(std::string{it.substr(1)})), alone, after == "["});
    }
    return out;
}

/// Types whose text, as a literal without a type, stores the same value in whatever column takes the value.
bool is_same_untyped(catalog::oid type) {
    constexpr std::array<catalog::oid, 10> oids{19, 20, 21, 23, 25, 705, 1042, 1043, 1082, 2950}; // pg_type.dat: name, integers, texts, unknown, date, uuid
    return std::find(oids.begin(), oids.end(), type) != oids.end();
}

/// The type that a literal in this place must say that it has; 0: none. A timestamptz is no timestamp, nor 1.5 an integer; in an expression PostgreSQL
/// could not know what a bare literal is.
catalog::oid type_said(place const& of, std::vector<catalog::oid> const& types) {
    auto const type = of.number <= types.size() ? types[of.number - 1] : 0;
    return of.alone && is_same_untyped(type) ? 0 : type;
}

void collect_types(std::string const& text, std::vector<catalog::oid> const& types, std::vector<catalog::oid>& to) {
    for (auto const& it : places_in(text))
        if (auto const type = type_said(it, types); type != 0) to.push_back(type);
}

void sort_out(std::vector<catalog::oid>& types) {
    std::sort(types.begin(), types.end());
    types.erase(std::unique(types.begin(), types.end()), types.end());
}

/// A statement with one row, with values in the place of its parameters.
std::string with_values(std::string const& text, auto const& values, std::vector<catalog::oid> const& types, std::map<catalog::oid, std::string> const& names) {
    std::string out;
    std::size_t done = 0;
    for (auto const& it : places_in(text)) {
        out.append(text, done, it.at.begin - done);
        done = it.at.end;
        auto const& value = values[it.number - 1];
        auto literal = value ? literal_of(*value) : std::string{"NULL"};
        auto const name = names.find(type_said(it, types));
        if (name != names.end() && (value || !it.alone)) literal += "::" + name->second;
        out += it.subscript ? "(" + literal + ")" : literal;
    }
    return out.append(text, done);
}

std::optional<std::vector<catalog::oid>> read_types(base::byte_view parameter_description) {
    wire::cursor in{parameter_description};
    std::vector<catalog::oid> types(static_cast<std::uint16_t>(in.i16()));
    for (auto& it : types) it = in.u32();
    return in.ok() ? std::optional{std::move(types)} : std::nullopt;
}

/// Bind under pgmend's names. `parameters`: formats and values, as in the message.
void append_own_bind(std::string& out, base::byte_view parameters) {
    std::string body;
    body.append(own_name).push_back('\0');
    body.append(own_name).push_back('\0');
    body.append(parameters);
    body.append(2, '\0'); // results, if any, as text
    wire::append_frame(out, 'B', body);
}

void append_execution(std::string& out) {
    wire::append_execute(out, own_name);
    wire::append_close_portal(out, own_name);
    wire::append_close_statement(out, own_name);
}

/// Whatever DateStyle says: a text that stands for the same value in every session.
std::string words_of(catalog::oid type, std::size_t number) {
    constexpr catalog::oid date = 1082, timestamp = 1114, timestamptz = 1184; // pg_type.dat
    if (type == date || type == timestamp || type == timestamptz) return fmt::format("pg_catalog.to_json(${}) OPERATOR(pg_catalog.#>>) '{{}}'", number);
    return fmt::format("${}", number);
}

/// Numbers with all of their digits, whatever the session's setting; it goes with the trial.
void append_exact_numbers(std::string& out) { append_statement(out, "SET LOCAL extra_float_digits = 3"); }

class statement_rows final : public tried_rows {
  public:
    statement_rows(batch_statement statement, batch rows) : statement_{std::move(statement)}, rows_{std::move(rows)} {
        any_parameters_ = std::any_of(rows_.parameters.begin(), rows_.parameters.end(), [](auto const& it) { return !it.empty(); });
    }

    /// Why not; empty: it can be split.
    std::string read_request(failed_request const& request) {
        if (request.open || !request.whole) return "the request is not complete";
        if (!statement_.name) return any_parameters_ ? "the text has parameters without values" : "";
        bool const unnamed = statement_.name->empty();
        std::optional<std::uint32_t> parsed;
        int executes = 0;
        std::uint32_t index = 0;
        for (auto const next : messages_of(request.request)) {
            auto const number = index++;
            switch (next[0]) {
            case 'B': {
                auto bound = wire::read_bind(wire::body_of(next));
                if (!bound) return "the Bind message is not well-formed";
                if (!bound->portal.empty()) return "a named portal";
                if (bound->statement != *statement_.name) return "the request holds other statements";
                if (bind_) return "the statement is executed more than once";
                bind_ = number;
                bound_ = std::move(*bound);
                break;
            }
            case 'E': ++executes; break;
            case 'P':
                if (number != statement_.message) return "the request holds other statements";
                parsed = number;
                break;
            case 'C':
            case 'D':
            case 'S': break;
            default: return "the request holds other statements";
            }
        }
        if (!bind_ || executes != 1) return "the statement is executed more than once";
        in_place_ = !unnamed || !parsed || request.passed_on > 0;
        if (parsed && request.failed == *parsed && (in_place_ || any_parameters_)) return "the statement could not be prepared";
        for (auto const& row : rows_.parameters)
            for (auto const n : row)
                if (n > bound_.values.size()) return "a parameter has no value";
        return {};
    }

    [[nodiscard]] std::size_t count() const override { return rows_.rows.size(); }
    void append_question(std::string& out) const override {
        if (!any_parameters_) return;
        append_own_parse(out, statement_.sql, statement_.types);
        wire::append_describe_statement(out, own_name);
        wire::append_close_statement(out, own_name);
    }
    [[nodiscard]] bool is_described() const override { return !any_parameters_ || types_.has_value(); }
    void on_types(base::byte_view description) override { types_ = read_types(description); }

    void append_trial(std::string& out, std::size_t first, std::size_t last) const override {
        append_own_parse(out, rows_alone(statement_.sql, rows_, first, last), types_ ? *types_ : std::vector<std::uint32_t>{});
        append_values(out, first, last);
        append_execution(out);
    }

    void note_bad(std::size_t number) override {
        auto& it = bad_[number];
        it.words.resize(bound_.values.size());
        for (auto const n : rows_.parameters[number]) {
            auto const& value = bound_.values[n - 1];
            if (!value || !bound_.is_binary(n - 1)) it.words[n - 1] = value ? std::optional<std::string>{*value} : std::nullopt;
            else it.asked.push_back(n);
        }
        std::sort(it.asked.begin(), it.asked.end());
        it.asked.erase(std::unique(it.asked.begin(), it.asked.end()), it.asked.end());
    }

    bool append_wording(std::string& out) const override {
        bool any = false;
        for (auto const& [number, it] : bad_) {
            if (it.asked.empty() || !types_) continue;
            if (!std::exchange(any, true)) append_exact_numbers(out);
            std::string sql = "SELECT ";
            for (auto const n : it.asked) sql += fmt::format("{}{}", n == it.asked.front() ? "" : ", ", n <= types_->size() ? words_of((*types_)[n - 1], n) : "NULL");
            append_own_parse(out, sql, *types_);
            append_values(out, number, number + 1);
            append_execution(out);
        }
        return any;
    }

    /// In the order in which they were asked for.
    void on_words(value_views const& row) override {
        auto const next = std::find_if(bad_.begin(), bad_.end(), [&](auto const& it) { return !it.second.asked.empty() && it.second.asked.size() == row.size(); });
        if (next == bad_.end()) return;
        auto const asked = std::exchange(next->second.asked, {});
        for (std::size_t i = 0; i < asked.size(); ++i) next->second.words[asked[i] - 1] = row[i] ? std::optional<std::string>{*row[i]} : std::nullopt;
    }

    [[nodiscard]] std::optional<std::string> alone(std::size_t number) const override {
        auto const& it = bad_.at(number);
        if (!it.asked.empty()) return std::nullopt;
        return with_values(rows_alone(statement_.sql, rows_, number, number + 1), it.words, types_.value_or(std::vector<catalog::oid>{}), names_);
    }
    [[nodiscard]] std::vector<catalog::oid> types_to_name() const override {
        std::vector<catalog::oid> out;
        if (!types_) return out;
        for (auto const& [number, _] : bad_) collect_types(rows_alone(statement_.sql, rows_, number, number + 1), *types_, out);
        sort_out(out);
        return out;
    }
    [[nodiscard]] std::optional<std::vector<catalog::oid>> types() const override { return types_; }
    [[nodiscard]] std::optional<std::uint32_t> bind_in_place() const override { return in_place_ ? bind_ : std::nullopt; }

    [[nodiscard]] std::vector<std::uint32_t> unused_parameters(std::vector<std::size_t> const& good) const override {
        std::vector<bool> used(bound_.values.size() + 1);
        for (auto const i : good)
            for (auto const n : rows_.parameters[i]) used[n] = true;
        std::vector<std::uint32_t> out;
        for (std::uint32_t n = 1; n <= bound_.values.size(); ++n)
            if (!used[n]) out.push_back(n);
        return out;
    }

  private:
    struct bad {
        std::vector<std::optional<std::string>> words; ///< [n - 1] is $n
        std::vector<std::uint32_t> asked;              ///< parameters whose words are not known yet: they came in binary form
    };

    /// A Bind with the values of these rows. The server reads each value that it gets: others may be bad.
    void append_values(std::string& out, std::size_t first, std::size_t last) const {
        std::vector<bool> needed(bound_.values.size() + 1);
        for (auto i = first; i < last; ++i)
            for (auto const n : rows_.parameters[i]) needed[n] = true;
        std::string parameters;
        base::append_u16(parameters, static_cast<std::uint16_t>(bound_.formats.size()));
        for (auto const format : bound_.formats) base::append_u16(parameters, static_cast<std::uint16_t>(format));
        base::append_u16(parameters, static_cast<std::uint16_t>(bound_.values.size()));
        for (std::size_t i = 0; i < bound_.values.size(); ++i) {
            auto const& value = bound_.values[i];
            bool const null = !needed[i + 1] || !value;
            base::append_u32(parameters, null ? 0xffffffffU : static_cast<std::uint32_t>(value->size()));
            if (!null) parameters += *value;
        }
        append_own_bind(out, parameters);
    }

    batch_statement statement_;
    batch rows_;
    bool any_parameters_{false};
    bool in_place_{false};
    std::optional<std::uint32_t> bind_;
    wire::bind_view bound_; ///< views into the request
    std::optional<std::vector<catalog::oid>> types_;
    std::map<std::size_t, bad> bad_;
};

class pipeline_rows final : public tried_rows {
  public:
    explicit pipeline_rows(pipelined_rows rows) : rows_{std::move(rows)} {}

    [[nodiscard]] std::size_t count() const override { return rows_.rows.size(); }
    void append_question(std::string&) const override {}
    [[nodiscard]] bool is_described() const override { return true; }

    void append_trial(std::string& out, std::size_t first, std::size_t last) const override {
        for (auto i = first; i < last; ++i) {
            auto const& row = rows_.rows[i];
            append_own_parse(out, row.sql, row.types);
            if (last - first == 1) wire::append_describe_statement(out, own_name); // its values may have to be put into words
            append_own_bind(out, row.bound.parameters);
            append_execution(out);
        }
    }

    void on_types(base::byte_view description) override { types_ = read_types(description).value_or(std::vector<catalog::oid>{}); }

    void note_bad(std::size_t number) override {
        auto& it = bad_[number];
        it.types = std::exchange(types_, {});
        if (rows_.rows[number].bound.binary()) return;
        for (auto const& value : rows_.rows[number].bound.values) it.words.push_back(value ? std::optional<std::string>{*value} : std::nullopt);
        it.known = true;
    }

    bool append_wording(std::string& out) const override {
        bool any = false;
        for (auto const& [number, it] : bad_) {
            if (it.known || it.types.size() != rows_.rows[number].bound.values.size()) continue;
            if (!std::exchange(any, true)) append_exact_numbers(out);
            std::string sql = "SELECT ";
            for (std::size_t i = 0; i < it.types.size(); ++i) sql += fmt::format("{}{}", i == 0 ? "" : ", ", words_of(it.types[i], i + 1));
            append_own_parse(out, sql, it.types);
            append_own_bind(out, rows_.rows[number].bound.parameters);
            append_execution(out);
        }
        return any;
    }

    /// In the order in which they were asked for.
    void on_words(value_views const& row) override {
        auto const next = std::find_if(bad_.begin(), bad_.end(), [&](auto const& it) { return !it.second.known && it.second.types.size() == row.size(); });
        if (next == bad_.end()) return;
        for (auto const& value : row) next->second.words.push_back(value ? std::optional<std::string>{*value} : std::nullopt);
        next->second.known = true;
    }

    [[nodiscard]] std::optional<std::string> alone(std::size_t number) const override {
        auto const& it = bad_.at(number);
        if (!it.known) return std::nullopt;
        return with_values(text_of(number), it.words, it.types, names_);
    }
    [[nodiscard]] std::vector<catalog::oid> types_to_name() const override {
        std::vector<catalog::oid> out;
        for (auto const& [number, it] : bad_) collect_types(text_of(number), it.types, out);
        sort_out(out);
        return out;
    }
    [[nodiscard]] std::optional<std::vector<catalog::oid>> types() const override { return std::nullopt; }
    [[nodiscard]] std::vector<std::uint32_t> unused_parameters(std::vector<std::size_t> const&) const override { return {}; }

  private:
    struct bad {
        std::vector<catalog::oid> types;
        std::vector<std::optional<std::string>> words;
        bool known{false};
    };

    /// Without what may stand behind the row: a comment would hide what follows.
    [[nodiscard]] std::string text_of(std::size_t number) const {
        auto const sql = rows_.rows[number].sql;
        auto const one = read_batch(sql, 1);
        return one ? rows_alone(sql, *one, 0, 1) : std::string{sql};
    }

    pipelined_rows rows_;
    std::vector<catalog::oid> types_; ///< of the row that was tried alone last
    std::map<std::size_t, bad> bad_;
};

} // namespace

std::unique_ptr<tried_rows> rows_of_statement(failed_request const& request, batch_statement statement, batch rows, std::string& reason) {
    auto out = std::make_unique<statement_rows>(std::move(statement), std::move(rows));
    reason = out->read_request(request);
    return out;
}

std::unique_ptr<tried_rows> rows_of_pipeline(pipelined_rows rows) { return std::make_unique<pipeline_rows>(std::move(rows)); }

} // namespace pgmend::session
