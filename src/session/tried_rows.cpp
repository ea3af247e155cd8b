#include "session/tried_rows.hpp"

#include "pgmend/sql/lexer.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "session/own_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace pgmend::session {
namespace {

using value_views = std::vector<std::optional<base::byte_view>>;

base::byte_view body_of(base::byte_view frame) { return wire::body_of(frame, wire::read_header(frame)); }

/// In any setting of standard_conforming_strings.
std::string literal_of(base::byte_view text) {
    if (auto plain = sql::quoted_literal(text)) return std::move(*plain);
    std::string out = " E'";
    for (char const c : text) out.append(c == '\'' || c == '\\' ? 2 : 1, c);
    return out += '\'';
}

/// A statement with one row, with values in the place of its parameters.
std::string with_values(std::string const& text, auto const& values) {
    std::string out;
    std::size_t done = 0;
    for (auto const& it : sql::scan(text).tokens) {
        if (it.kind != sql::token_kind::parameter) continue;
        out.append(text, done, it.begin - done);
        done = it.end;
        auto const n = static_cast<std::size_t>(std::stoul(text.substr(it.begin + 1, it.end - it.begin - 1)));
        auto const& value = values[n - 1];
        out += value ? literal_of(*value) : "NULL";
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
    out.push_back('B');
    base::append_u32(out, static_cast<std::uint32_t>(body.size() + 4));
    out += body;
}

void append_execution(std::string& out) {
    wire::append_execute(out, own_name);
    wire::append_close_portal(out, own_name);
    wire::append_close_statement(out, own_name);
}

class statement_rows final : public tried_rows {
  public:
    statement_rows(base::byte_view sql, batch rows) : sql_{sql}, rows_{std::move(rows)} {}

    /// Why not; empty: it can be split.
    std::string read_request(failed_request const& request, std::uint32_t text) {
        if (request.open || !request.whole) return "the request is not complete";
        auto const frame = message_at(request.request, text);
        if (frame.empty()) return "the statement was prepared by an earlier request";
        if (frame[0] == 'Q') {
            bool const any = std::any_of(rows_.parameters.begin(), rows_.parameters.end(), [](auto const& it) { return !it.empty(); });
            return any ? "the text has parameters without values" : "";
        }
        extended_ = true;
        auto const parsed = wire::read_parse(body_of(frame));
        if (text != 0 || !parsed || !parsed->statement.empty()) return "a named statement may be executed again";
        if (request.failed == text) return "the statement could not be prepared";
        declared_ = parsed->parameter_types;
        int binds = 0;
        int executes = 0;
        for (auto const next : messages_of(request.request)) {
            switch (next[0]) {
            case 'B': {
                ++binds;
                auto bound = wire::read_bind(body_of(next));
                if (!bound) return "the Bind message is not well-formed";
                if (!bound->portal.empty() || !bound->statement.empty()) return "a named portal or statement";
                if (bound->binary()) return "parameters in binary form";
                values_ = std::move(bound->values);
                break;
            }
            case 'E': ++executes; break;
            case 'P':
                if (next.data() != frame.data()) return "the request holds other statements";
                break;
            case 'D':
            case 'S': break;
            default: return "the request holds other statements";
            }
        }
        if (binds != 1 || executes != 1) return "the statement is executed more than once";
        for (auto const& row : rows_.parameters)
            for (auto const n : row)
                if (n > values_.size()) return "a parameter has no value";
        return {};
    }

    [[nodiscard]] std::size_t count() const override { return rows_.rows.size(); }
    void append_question(std::string& out) const override {
        if (!extended_) return;
        wire::append_parse(out, own_name, sql_, declared_);
        wire::append_describe_statement(out, own_name);
        wire::append_close_statement(out, own_name);
    }
    [[nodiscard]] bool is_described() const override { return !extended_ || types_.has_value(); }
    void on_types(base::byte_view description) override { types_ = read_types(description); }

    void append_trial(std::string& out, std::size_t first, std::size_t last) const override {
        wire::append_parse(out, own_name, rows_alone(sql_, rows_, first, last), types_ ? *types_ : std::vector<std::uint32_t>{});
        // The server reads each value that it gets: others than those of these rows may be bad.
        std::vector<bool> needed(values_.size() + 1);
        for (auto i = first; i < last; ++i)
            for (auto const n : rows_.parameters[i]) needed[n] = true;
        std::string parameters(2, '\0'); // all as text
        base::append_u16(parameters, static_cast<std::uint16_t>(values_.size()));
        for (std::size_t i = 0; i < values_.size(); ++i) {
            bool const null = !needed[i + 1] || !values_[i];
            base::append_u32(parameters, null ? 0xffffffffU : static_cast<std::uint32_t>(values_[i]->size()));
            if (!null) parameters += *values_[i];
        }
        append_own_bind(out, parameters);
        append_execution(out);
    }

    void note_bad(std::size_t) override {}
    bool append_wording(std::string&) const override { return false; }
    void on_words(value_views const&) override {}
    [[nodiscard]] std::optional<std::string> alone(std::size_t number) const override {
        return with_values(rows_alone(sql_, rows_, number, number + 1), values_);
    }
    [[nodiscard]] std::optional<std::vector<catalog::oid>> types() const override { return types_; }

    [[nodiscard]] std::vector<std::uint32_t> unused_parameters(std::vector<std::size_t> const& good) const override {
        std::vector<bool> used(values_.size() + 1);
        for (auto const i : good)
            for (auto const n : rows_.parameters[i]) used[n] = true;
        std::vector<std::uint32_t> out;
        for (std::uint32_t n = 1; n <= values_.size(); ++n)
            if (!used[n]) out.push_back(n);
        return out;
    }

  private:
    base::byte_view sql_;
    batch rows_;
    bool extended_{false};
    std::vector<std::uint32_t> declared_;
    value_views values_; ///< of the Bind message; views into the request
    std::optional<std::vector<catalog::oid>> types_;
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
            wire::append_parse(out, own_name, row.sql, row.types);
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
            any = true;
            std::string sql = "SELECT ";
            for (std::size_t i = 0; i < it.types.size(); ++i) sql += fmt::format("{}{}", i == 0 ? "" : ", ", words_of(it.types[i], i + 1));
            wire::append_parse(out, own_name, sql, it.types);
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
        return with_values(std::string{rows_.rows[number].sql}, it.words);
    }
    [[nodiscard]] std::optional<std::vector<catalog::oid>> types() const override { return std::nullopt; }
    [[nodiscard]] std::vector<std::uint32_t> unused_parameters(std::vector<std::size_t> const&) const override { return {}; }

  private:
    /// Whatever DateStyle says: a text that stands for the same value in every session.
    static std::string words_of(catalog::oid type, std::size_t number) {
        constexpr catalog::oid date = 1082, timestamp = 1114, timestamptz = 1184; // pg_type.dat
        if (type == date || type == timestamp || type == timestamptz) return fmt::format("pg_catalog.to_json(${}) OPERATOR(pg_catalog.#>>) '{{}}'", number);
        return fmt::format("${}", number);
    }

    struct bad {
        std::vector<catalog::oid> types;
        std::vector<std::optional<std::string>> words;
        bool known{false};
    };
    pipelined_rows rows_;
    std::vector<catalog::oid> types_; ///< of the row that was tried alone last
    std::map<std::size_t, bad> bad_;
};

} // namespace

std::unique_ptr<tried_rows> rows_of_statement(failed_request const& request, std::uint32_t text, base::byte_view sql, batch rows, std::string& reason) {
    auto out = std::make_unique<statement_rows>(sql, std::move(rows));
    reason = out->read_request(request, text);
    return out;
}

std::unique_ptr<tried_rows> rows_of_pipeline(pipelined_rows rows) { return std::make_unique<pipeline_rows>(std::move(rows)); }

} // namespace pgmend::session
