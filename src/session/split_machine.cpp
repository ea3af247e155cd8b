#include "pgmend/session/split_machine.hpp"

#include "pgmend/sql/names.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "session/own_messages.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgmend::session {
namespace {

constexpr base::byte_view set_outer = "SAVEPOINT _pgmend_batch_2f6b9c";
constexpr base::byte_view back_to_outer = "ROLLBACK TO SAVEPOINT _pgmend_batch_2f6b9c";
constexpr base::byte_view release_outer = "RELEASE SAVEPOINT _pgmend_batch_2f6b9c";
constexpr base::byte_view set_inner = "SAVEPOINT _pgmend_rows_2f6b9c";
constexpr base::byte_view back_to_inner = "ROLLBACK TO SAVEPOINT _pgmend_rows_2f6b9c";
constexpr base::byte_view release_inner = "RELEASE SAVEPOINT _pgmend_rows_2f6b9c";

/// More bad rows than this are no batch with a few bad rows.
constexpr std::size_t most_bad_rows = 1000;

base::byte_view body_of(base::byte_view frame) { return wire::body_of(frame, wire::read_header(frame)); }

/// What failed may have left a portal and a statement under pgmend's name.
void append_tidying(std::string& out) {
    wire::append_close_portal(out, own_name);
    wire::append_close_statement(out, own_name);
}

/// In any setting of standard_conforming_strings.
std::string literal_of(base::byte_view text) {
    if (auto plain = sql::quoted_literal(text)) return std::move(*plain);
    std::string out = " E'";
    for (char const c : text) out.append(c == '\'' || c == '\\' ? 2 : 1, c);
    return out += '\'';
}

/// Rows of a partitioned table go to its partitions, with their triggers.
std::string question_about(catalog::oid table) {
    return fmt::format("SELECT c.relkind::pg_catalog.text IN ('r', 'p') AND NOT c.relrowsecurity AND NOT c.relhasrules"
                       " AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE NOT t.tgisinternal AND t.tgrelid IN"
                       " (SELECT {0} UNION ALL SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree({0}) AS p))"
                       " AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS f WHERE f.contype::pg_catalog.text = 'f' AND f.conrelid = f.confrelid"
                       " AND f.conrelid = {0}) FROM pg_catalog.pg_class AS c WHERE c.oid = {0}",
                       fmt::format("{}::pg_catalog.oid", table));
}

} // namespace

bool is_of_the_data(base::byte_view sqlstate) { return sqlstate.starts_with("22") || sqlstate.starts_with("23"); }

split_machine::split_machine(failed_request const& request, std::uint32_t text, base::byte_view sql, batch rows, catalog::oid table, bool in_transaction)
    : request_{request}, sql_{sql}, rows_{std::move(rows)}, table_{table}, in_transaction_{in_transaction} {
    read_request(text);
}

/// A Query; or Parse, Bind, Describe and Execute of the unnamed statement and portal, once, and the Sync. Everything else may have more to do
/// with the statement than is in sight.
void split_machine::read_request(std::uint32_t text) {
    if (request_.open) return refuse("the request is not complete");
    auto const frame = message_at(request_.request, text);
    if (frame.empty()) return refuse("the statement was prepared by an earlier request");
    if (frame[0] == 'Q') {
        for (auto const& it : rows_.parameters)
            if (!it.empty()) return refuse("the text has parameters without values");
        return;
    }
    extended_ = true;
    auto const parsed = wire::read_parse(body_of(frame));
    if (text != 0 || !parsed || !parsed->statement.empty()) return refuse("a named statement may be executed again");
    if (request_.failed == text) return refuse("the statement could not be prepared");
    declared_ = parsed->parameter_types;
    int binds = 0;
    int executes = 0;
    for (std::uint32_t i = 1;; ++i) {
        auto const next = message_at(request_.request, i);
        if (next.empty()) break;
        wire::cursor in{body_of(next)};
        switch (next[0]) {
        case 'B': {
            ++binds;
            bool const unnamed = in.text().empty() && in.text().empty();
            if (!unnamed) return refuse("a named portal or statement");
            std::vector<std::int16_t> formats(static_cast<std::uint16_t>(in.i16()));
            for (auto& it : formats) it = in.i16();
            std::size_t const count = static_cast<std::uint16_t>(in.i16());
            for (std::size_t k = 0; k < count && in.ok(); ++k) {
                auto const length = in.i32();
                if (length < 0) values_.emplace_back();
                else values_.emplace_back(in.bytes(static_cast<std::size_t>(length)));
            }
            if (!in.ok()) return refuse("the Bind message is not well-formed");
            binary_ = std::any_of(formats.begin(), formats.end(), [](auto it) { return it != 0; });
            break;
        }
        case 'D': break;
        case 'E': ++executes; break;
        case 'S': break;
        default: return refuse("the request holds other statements");
        }
    }
    if (binds != 1 || executes != 1) return refuse("the statement is executed more than once");
    if (binary_) return refuse("parameters in binary form");
    for (auto const& row : rows_.parameters)
        for (auto const n : row)
            if (n > values_.size()) return refuse("a parameter has no value");
}

std::string split_machine::begin() {
    std::string out;
    (void)append_statement(out, in_transaction_ ? set_outer : base::byte_view{"BEGIN"});
    (void)append_statement(out, question_about(table_));
    if (extended_) {
        wire::append_parse(out, own_name, sql_, declared_);
        wire::append_describe_statement(out, own_name);
        wire::append_close_statement(out, own_name);
    }
    wire::append_sync(out);
    auto const count = rows_.rows.size();
    left_ = {{count / 2, count}, {0, count / 2}};
    return out;
}

void split_machine::append_trial(std::string& out) {
    auto const [first, last] = left_.back();
    auto const text = rows_alone(sql_, rows_, first, last);
    (void)append_statement(out, set_inner);
    wire::append_parse(out, own_name, text, types_ ? *types_ : std::vector<std::uint32_t>{});
    // The server reads each value that it gets: others than those of these rows may be bad.
    std::string body;
    body.append(own_name).push_back('\0');
    body.append(own_name).push_back('\0');
    body.append(2, '\0'); // all as text
    body.push_back(static_cast<char>(values_.size() >> 8));
    body.push_back(static_cast<char>(values_.size() & 0xff));
    std::vector<bool> needed(values_.size() + 1);
    for (auto i = first; i < last; ++i)
        for (auto const n : rows_.parameters[i]) needed[n] = true;
    for (std::size_t i = 0; i < values_.size(); ++i) {
        bool const null = !needed[i + 1] || !values_[i];
        base::append_u32(body, null ? 0xffffffffU : static_cast<std::uint32_t>(values_[i]->size()));
        if (!null) body += *values_[i];
    }
    body.append(2, '\0'); // no rows
    out.push_back('B');
    base::append_u32(out, static_cast<std::uint32_t>(body.size() + 4));
    out += body;
    wire::append_execute(out, own_name);
    wire::append_close_portal(out, own_name);
    wire::append_close_statement(out, own_name);
    (void)append_statement(out, release_inner);
}

std::string split_machine::next() {
    if (!reason_.empty() || left_.empty()) return end();
    phase_ = phase::trying;
    std::string out;
    if (std::exchange(undo_, false)) {
        append_tidying(out);
        (void)append_statement(out, back_to_inner);
        (void)append_statement(out, release_inner);
    }
    append_trial(out);
    wire::append_sync(out);
    return out;
}

std::string split_machine::end() {
    phase_ = phase::ending;
    std::string out;
    append_tidying(out);
    if (in_transaction_) {
        (void)append_statement(out, back_to_outer);
        (void)append_statement(out, release_outer);
    } else {
        (void)append_statement(out, "ROLLBACK");
    }
    wire::append_sync(out);
    return out;
}

split_machine::step split_machine::on_server(base::byte_view frame, std::string& to_client) {
    auto const header = wire::read_header(frame);
    auto const body = wire::body_of(frame, header);
    switch (header.type) {
    case 'A':
    case 'S': to_client.append(frame); break;
    case 'D':
        if (auto const row = wire::read_data_row(body); row && row->size() == 1 && row->front()) plain_ = *row->front() == "t";
        break;
    case 't': {
        wire::cursor in{body};
        std::vector<catalog::oid> types(static_cast<std::uint16_t>(in.i16()));
        for (auto& it : types) it = in.u32();
        if (in.ok()) types_ = std::move(types);
        break;
    }
    case 'E':
        if (auto const fields = wire::read_error(body)) error_ = {std::string{fields->code}, std::string{fields->message}};
        else error_ = {"?", ""};
        break;
    case 'Z': return end_of_exchange();
    default: break;
    }
    return step::need_more;
}

split_machine::step split_machine::end_of_exchange() {
    auto const error = std::exchange(error_, std::nullopt);
    switch (phase_) {
    case phase::looking:
        if (error) refuse("PostgreSQL refused the look at the table with SQLSTATE " + error->first);
        else if (!plain_.value_or(false)) refuse("the table has triggers, rules, row-level security or a foreign key to itself, or is none");
        else if (extended_ && !types_) refuse("the statement was not described");
        return step::next;
    case phase::trying: {
        auto const [first, last] = left_.back();
        left_.pop_back();
        if (!error) return step::next;
        undo_ = true;
        if (!is_of_the_data(error->first)) {
            refuse("PostgreSQL refused a part of the batch with SQLSTATE " + error->first);
        } else if (last - first > 1) {
            auto const middle = first + (last - first) / 2;
            left_.emplace_back(middle, last);
            left_.emplace_back(first, middle);
        } else {
            bad_.push_back({first, with_values(first), error->first, error->second});
            if (bad_.size() > most_bad_rows) refuse("too many rows are refused");
        }
        return step::next;
    }
    case phase::ending: break;
    }
    if (error) refuse("the trial could not be undone");
    return reason_.empty() ? step::found : step::refused;
}

std::vector<std::size_t> split_machine::good() const {
    std::vector<std::size_t> out;
    auto next = bad_.begin();
    for (std::size_t i = 0; i < rows_.rows.size(); ++i) {
        if (next != bad_.end() && next->number == i) ++next;
        else out.push_back(i);
    }
    return out;
}

std::vector<std::uint32_t> split_machine::unused_parameters() const {
    std::vector<bool> used(values_.size() + 1);
    for (auto const i : good())
        for (auto const n : rows_.parameters[i]) used[n] = true;
    std::vector<std::uint32_t> out;
    for (std::uint32_t n = 1; n <= values_.size(); ++n)
        if (!used[n]) out.push_back(n);
    return out;
}

std::string split_machine::with_values(std::size_t row) const {
    auto const text = rows_alone(sql_, rows_, row, row + 1);
    std::string out;
    std::size_t done = 0;
    for (auto const& it : sql::scan(text).tokens) {
        if (it.kind != sql::token_kind::parameter) continue;
        out.append(text, done, it.begin - done);
        done = it.end;
        auto const n = static_cast<std::size_t>(std::stoul(text.substr(it.begin + 1, it.end - it.begin - 1)));
        auto const& value = values_[n - 1];
        out += value ? literal_of(*value) : "NULL";
    }
    return out.append(text, done);
}

} // namespace pgmend::session
