#include "pgmend/session/split_machine.hpp"

#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "session/own_messages.hpp"
#include "session/tried_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

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

/// What failed may have left a portal and a statement under pgmend's name.
void append_tidying(std::string& out) {
    wire::append_close_portal(out, own_name);
    wire::append_close_statement(out, own_name);
}

/// Rows of a partitioned table go to its partitions, with their triggers.
std::string question_about(catalog::oid table) {
    return fmt::format("SELECT c.relkind::pg_catalog.text IN ('r', 'p') AND NOT c.relrowsecurity AND NOT c.relhasrules"
                       " AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE NOT t.tgisinternal AND t.tgrelid IN"
                       " (SELECT {0} UNION ALL SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree({0}) AS p))"
                       " AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS f WHERE f.contype::pg_catalog.text = 'f' AND f.conrelid = f.confrelid"
                       " AND f.conrelid = {0}) AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS d WHERE d.condeferrable AND d.conrelid = {0}),"
                       " (SELECT pg_catalog.string_agg(pg_catalog.format('SET LOCAL %I = %L', s.name, pg_catalog.current_setting(s.name)), '; ') FROM pg_catalog.unnest("
                       "'{{DateStyle,IntervalStyle,TimeZone,client_encoding,standard_conforming_strings}}'::pg_catalog.text[]) AS s (name))"
                       " FROM pg_catalog.pg_class AS c WHERE c.oid = {0}",
                       fmt::format("{}::pg_catalog.oid", table));
}

} // namespace

bool is_of_the_data(base::byte_view sqlstate) { return sqlstate.starts_with("22") || sqlstate.starts_with("23"); }

split_machine::split_machine(failed_request const& request, batch_statement statement, batch rows, catalog::oid table, bool in_transaction)
    : table_{table}, in_transaction_{in_transaction} {
    rows_ = rows_of_statement(request, std::move(statement), std::move(rows), reason_);
}

split_machine::split_machine(pipelined_rows rows, catalog::oid table, bool in_transaction)
    : rows_{rows_of_pipeline(std::move(rows))}, table_{table}, in_transaction_{in_transaction} {}

split_machine::~split_machine() = default;

std::string split_machine::begin() {
    std::string out;
    append_statement(out, in_transaction_ ? set_outer : base::byte_view{"BEGIN"});
    append_statement(out, question_about(table_));
    rows_->append_question(out);
    wire::append_sync(out);
    auto const count = rows_->count();
    left_ = {{count / 2, count}, {0, count / 2}};
    return out;
}

/// Of the part before, where it failed.
std::string split_machine::undo_part() {
    std::string out;
    if (!std::exchange(undo_, false)) return out;
    append_tidying(out);
    append_statement(out, back_to_inner);
    append_statement(out, release_inner);
    return out;
}

std::string split_machine::next() {
    if (!reason_.empty()) return end();
    auto out = undo_part();
    if (!left_.empty()) {
        phase_ = phase::trying;
        auto const [first, last] = left_.back();
        append_statement(out, set_inner);
        rows_->append_trial(out, first, last);
        append_statement(out, release_inner);
    } else if (!std::exchange(named_, true) && !(asked_types_ = rows_->types_to_name()).empty()) {
        phase_ = phase::naming;
        std::string sql = "SELECT ";
        for (auto const it : asked_types_) sql += fmt::format("{}pg_catalog.format_type({}, -1)", it == asked_types_.front() ? "" : ", ", it);
        append_statement(out, sql);
    } else {
        if (std::exchange(worded_, true) || !rows_->append_wording(out)) return end();
        phase_ = phase::wording;
    }
    wire::append_sync(out);
    return out;
}

std::string split_machine::end() {
    phase_ = phase::ending;
    std::string out;
    append_tidying(out);
    if (in_transaction_) {
        append_statement(out, back_to_outer);
        append_statement(out, release_outer);
    } else {
        append_statement(out, "ROLLBACK");
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
    case 'D': {
        auto const row = wire::read_data_row(body);
        if (!row) break;
        if (phase_ == phase::wording) {
            rows_->on_words(*row);
        } else if (phase_ == phase::naming) {
            std::map<catalog::oid, std::string> names;
            for (std::size_t i = 0; i < asked_types_.size() && i < row->size(); ++i)
                if ((*row)[i]) names.emplace(asked_types_[i], *(*row)[i]);
            rows_->set_names(std::move(names));
        } else if (row->size() == 2 && row->front() && row->back()) {
            plain_ = *row->front() == "t";
            settings_ = *row->back();
        }
        break;
    }
    case 't': rows_->on_types(body); break;
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
    auto error = std::exchange(error_, std::nullopt);
    switch (phase_) {
    case phase::looking:
        if (error) refuse("PostgreSQL refused the look at the table with SQLSTATE " + error->first);
        else if (!plain_.value_or(false)) refuse("the table has triggers, rules, row-level security, deferrable constraints or a foreign key to itself, or is none");
        else if (!rows_->is_described()) refuse("the statement was not described");
        return step::next;
    case phase::trying: return end_of_trial(std::move(error));
    case phase::naming:
        if (error) refuse("PostgreSQL could not name the types of a bad row: SQLSTATE " + error->first);
        return step::next;
    case phase::wording:
        if (error) refuse("PostgreSQL could not put the values of a bad row into words: SQLSTATE " + error->first);
        return step::next;
    case phase::ending: break;
    }
    if (error) refuse("the trial could not be undone");
    if (!reason_.empty()) return step::refused;
    for (auto& it : bad_) {
        auto alone = rows_->alone(it.number);
        if (!alone) {
            refuse("the values of a bad row are not known");
            return step::refused;
        }
        it.statement = std::move(*alone);
    }
    return step::found;
}

split_machine::step split_machine::end_of_trial(std::optional<std::pair<std::string, std::string>> error) {
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
        rows_->note_bad(first);
        bad_.push_back({first, {}, std::move(error->first), std::move(error->second)});
        if (bad_.size() > most_bad_rows) refuse("too many rows are refused");
    }
    return step::next;
}

std::optional<std::uint32_t> split_machine::bind_in_place() const { return rows_->bind_in_place(); }

std::vector<std::size_t> split_machine::good() const {
    std::vector<std::size_t> out;
    auto next = bad_.begin();
    for (std::size_t i = 0; i < rows_->count(); ++i) {
        if (next != bad_.end() && next->number == i) ++next;
        else out.push_back(i);
    }
    return out;
}

std::optional<std::vector<catalog::oid>> split_machine::parameter_types() const { return rows_->types(); }
std::vector<std::uint32_t> split_machine::unused_parameters() const { return rows_->unused_parameters(good()); }

} // namespace pgmend::session
