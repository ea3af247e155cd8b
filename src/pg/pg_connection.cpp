#include "pgmend/pg/pg_connection.hpp"

#include "waiter.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <libpq-fe.h>

#include <charconv>
#include <optional>
#include <utility>

namespace pgmend::pg {

namespace asio = boost::asio;

namespace {

/// libpq's messages have several lines, indented by tabs; the log wants one.
std::string one_line(std::string_view message) {
    std::string out;
    for (char const c : message) {
        if (c == '\n' && !out.empty()) out += "; ";
        else if (c != '\n' && c != '\t' && c != '\r') out += c;
    }
    while (out.ends_with(' ') || out.ends_with(';')) out.pop_back();
    return out;
}

/// libpq keeps the SQLSTATE of a refused login to itself, but verbose messages have it: "FATAL:  28P01: password …".
/// The word in front is translated, so look for the five characters. Takes them and what verbose adds out of `text`.
std::string take_sqlstate(std::string& text) {
    auto const is_state = [&](std::size_t at) {
        for (std::size_t i = at; i < at + 5; ++i) {
            bool const fits = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'Z');
            if (!fits) return false;
        }
        return text.compare(at + 5, 2, ": ") == 0;
    };
    for (auto at = text.find(":  "); at != std::string::npos; at = text.find(":  ", at + 1)) {
        if (at + 10 > text.size() || !is_state(at + 3)) continue;
        auto state = text.substr(at + 3, 5);
        text.erase(at + 2, 8);
        // The line with the server's source file follows the last one for people; its label is translated too.
        auto const line = text.find_last_of('\n', text.size() - 2);
        if (line != std::string::npos && line > at) text.erase(line);
        return state;
    }
    return {};
}

void ignore_notice(void*, PGresult const*) {}

} // namespace

void throw_exception_from_error(error const& e, boost::source_location const& where) {
    base::throw_exception_from_error(base::fail(e.code, e.text), where);
}

base::result<parameters> parse_connection_string(std::string const& text) {
    char* ignored = nullptr; // libpq's message quotes what it did not understand
    std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> const options{PQconninfoParse(text.c_str(), &ignored),
                                                                               &PQconninfoFree};
    PQfreemem(ignored);
    if (!options)
        return base::fail(base::errc::invalid_input, "not a connection string: keyword=value pairs or a postgresql:// URI");
    parameters found;
    for (auto const* o = options.get(); o->keyword; ++o) {
        if (o->val) found.emplace(o->keyword, o->val);
    }
    return found;
}

void rows::releaser::operator()(pg_result* r) const { PQclear(r); }

std::size_t rows::size() const { return static_cast<std::size_t>(PQntuples(owned_.get())); }

std::size_t rows::columns() const { return static_cast<std::size_t>(PQnfields(owned_.get())); }

std::string_view rows::text(std::size_t row, std::size_t column) const {
    auto const r = static_cast<int>(row);
    auto const c = static_cast<int>(column);
    return {PQgetvalue(owned_.get(), r, c), static_cast<std::size_t>(PQgetlength(owned_.get(), r, c))};
}

bool rows::is_null(std::size_t row, std::size_t column) const {
    return PQgetisnull(owned_.get(), static_cast<int>(row), static_cast<int>(column)) != 0;
}

void pg_connection::closer::operator()(pg_conn* c) const { PQfinish(c); }

pg_connection::pg_connection(asio::io_context& io) : io_{io}, waiter_{std::make_shared<waiter>(io)} {}

pg_connection::~pg_connection() { close(); }

void pg_connection::close() {
    waiter_->let_go();
    notifications_.clear();
    open_ = false;
    session_.reset();
}

int pg_connection::server_version() const { return open_ ? PQserverVersion(session_.get()) : 0; }

/// Waits until the socket is ready, at most until the deadline: false then.
/// The socket is only lent to Asio while it is waited for: during login libpq may close it and open another one of
/// the same number, which Asio would not notice.
task<bool> pg_connection::ready(direction wanted, base::time_point deadline) {
    auto const held = waiter_;
    bool const in_time = co_await held->wait(PQsocket(session_.get()), wanted == direction::write, deadline);
    co_return in_time;
}

/// The error of a connection that is no more of use; closes it.
error pg_connection::lost() {
    std::string text = session_ ? PQerrorMessage(session_.get()) : "out of memory";
    auto state = take_sqlstate(text);
    close();
    return {base::errc::connection_lost, std::move(state), one_line(text)};
}

error pg_connection::timed_out(std::string_view doing) {
    close();
    return {base::errc::timeout, {}, "no answer in time while " + std::string{doing}};
}

/// The host's addresses, since libpq's own look-up blocks; none: nothing is to be looked up.
task<result<std::vector<std::string>>> pg_connection::resolve(parameters const& wanted, base::time_point deadline) {
    std::vector<std::string> none;
    auto const host = wanted.find("host");
    if (host == wanted.end() || host->second.empty() || host->second.front() == '/' || host->second.front() == '@' ||
        host->second.find(',') != std::string::npos || wanted.contains("hostaddr"))
        co_return none;
    boost::system::error_code no_address;
    asio::ip::make_address(host->second, no_address);
    if (!no_address) co_return none;

    auto const name = host->second;
    auto const found = co_await waiter_->look_up(name, deadline);
    if (!found) {
        error e{base::errc::timeout, {}, "no answer in time while looking up host " + name};
        co_return e;
    }
    if (found->empty()) {
        error e{base::errc::not_found, {}, "host " + name + " has no address"};
        co_return e;
    }
    co_return *found;
}

task<result<void>> pg_connection::open(parameters wanted, base::time_point deadline) {
    auto const resolved = co_await resolve(wanted, deadline);
    if (!resolved) co_return resolved.error();
    auto const& addresses = *resolved;
    for (std::size_t i = 0; i + 1 < addresses.size(); ++i) {
        // An address that does not answer may not use up the others' time.
        auto const now = base::steady::now();
        auto const share = now + (deadline - now) / static_cast<std::int64_t>(addresses.size() - i);
        wanted.insert_or_assign("hostaddr", addresses[i]);
        auto const opened = co_await open_one(wanted, share);
        bool const said_no = !opened && !opened.error().sqlstate.empty() && opened.error().sqlstate != "57P03"; // as libpq, which goes on where it may not connect now
        if (opened || said_no) co_return opened;
    }
    if (!addresses.empty()) wanted.insert_or_assign("hostaddr", addresses.back());
    co_return co_await open_one(std::move(wanted), deadline);
}

task<result<void>> pg_connection::open_one(parameters wanted, base::time_point deadline) {
    close();
    std::vector<char const*> keywords;
    std::vector<char const*> values;
    for (auto const& [keyword, value] : wanted) {
        keywords.push_back(keyword.c_str());
        values.push_back(value.c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    session_.reset(PQconnectStartParams(keywords.data(), values.data(), 0));
    if (!session_ || PQstatus(session_.get()) == CONNECTION_BAD) co_return lost();
    PQsetErrorVerbosity(session_.get(), PQERRORS_VERBOSE);
    PQsetNoticeReceiver(session_.get(), ignore_notice, nullptr);

    // "If you have yet to call PQconnectPoll, behave as if it last returned PGRES_POLLING_WRITING" (34.1).
    for (auto state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK; state = PQconnectPoll(session_.get())) {
        if (state == PGRES_POLLING_FAILED) co_return lost();
        auto const wait_for = state == PGRES_POLLING_READING ? direction::read : direction::write;
        bool const in_time = co_await ready(wait_for, deadline);
        if (!in_time) co_return timed_out("connecting");
    }
    if (PQsetnonblocking(session_.get(), 1) != 0) co_return lost();
    open_ = true;
    co_return result<void>{};
}

namespace {

error refusal_of(pg_result const* answer) {
    auto const field = [&](int which) {
        auto const* const text = PQresultErrorField(answer, which);
        return std::string{text ? text : ""};
    };
    auto const message = field(PG_DIAG_MESSAGE_PRIMARY);
    error out{base::errc::invalid_input, field(PG_DIAG_SQLSTATE), one_line(message.empty() ? std::string{PQresultErrorMessage(answer)} : message)};
    out.details = {.routine = field(PG_DIAG_SOURCE_FUNCTION),
                   .hint = field(PG_DIAG_MESSAGE_HINT),
                   .schema = field(PG_DIAG_SCHEMA_NAME),
                   .table = field(PG_DIAG_TABLE_NAME),
                   .column = field(PG_DIAG_COLUMN_NAME),
                   .position = {},
                   .internal = !field(PG_DIAG_INTERNAL_QUERY).empty() || !field(PG_DIAG_CONTEXT).empty()};
    auto const position = field(PG_DIAG_STATEMENT_POSITION);
    std::uint32_t number = 0;
    if (std::from_chars(position.data(), position.data() + position.size(), number).ec == std::errc{} && number > 0) out.details.position = number;
    return out;
}

} // namespace

task<result<std::vector<rows>>> pg_connection::query(std::string sql, base::time_point deadline) {
    if (!open_) {
        error e{base::errc::connection_lost, {}, "not connected"};
        co_return e;
    }
    if (PQsendQuery(session_.get(), sql.c_str()) == 0) co_return lost();
    co_return co_await answers(deadline);
}

task<result<std::vector<rows>>> pg_connection::execute(std::string name, base::time_point deadline) {
    if (!open_) {
        error e{base::errc::connection_lost, {}, "not connected"};
        co_return e;
    }
    if (PQsendQueryPrepared(session_.get(), name.c_str(), 0, nullptr, nullptr, nullptr, 0) == 0) co_return lost();
    co_return co_await answers(deadline);
}

/// Sends what was queued, and collects all that comes for it.
task<result<std::vector<rows>>> pg_connection::answers(base::time_point deadline) {
    // Statements here are far smaller than a socket buffer: no need to read while they are being sent.
    for (int unsent = PQflush(session_.get()); unsent != 0; unsent = PQflush(session_.get())) {
        if (unsent < 0) co_return lost();
        bool const in_time = co_await ready(direction::write, deadline);
        if (!in_time) co_return timed_out("sending a statement");
    }

    std::vector<rows> answers;
    std::optional<error> refused;
    for (;;) {
        while (PQisBusy(session_.get()) != 0) {
            bool const in_time = co_await ready(direction::read, deadline);
            if (!in_time) co_return timed_out("waiting for the answer to a statement");
            if (PQconsumeInput(session_.get()) == 0) co_return lost();
        }
        auto* const answer = PQgetResult(session_.get());
        if (!answer) break;
        rows owned{answer};
        auto const status = PQresultStatus(answer);
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
            answers.push_back(std::move(owned));
        } else if (!refused) {
            refused = refusal_of(answer);
        }
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            close();
            error e{base::errc::not_supported, {}, "COPY is not done here"};
            co_return e;
        }
    }
    if (PQstatus(session_.get()) == CONNECTION_BAD) {
        auto e = lost();
        if (refused) { // the server's last words say more than "closed the connection unexpectedly"
            refused->code = base::errc::connection_lost;
            co_return *refused;
        }
        co_return e;
    }
    if (refused) co_return *refused;
    co_return answers;
}

task<result<description>> pg_connection::describe(std::string sql, std::vector<std::uint32_t> parameter_types, base::time_point deadline) {
    if (!open_) {
        error e{base::errc::connection_lost, {}, "not connected"};
        co_return e;
    }
    std::vector<Oid> const types(parameter_types.begin(), parameter_types.end());
    if (PQsendPrepare(session_.get(), "", sql.c_str(), static_cast<int>(types.size()), types.data()) == 0) co_return lost();
    auto const prepared = co_await answers(deadline);
    if (!prepared) co_return prepared.error();
    if (PQsendDescribePrepared(session_.get(), "") == 0) co_return lost();
    auto const described = co_await answers(deadline);
    if (!described) co_return described.error();
    description out;
    if (described->empty()) co_return out;
    auto const* const answer = described->back().get();
    for (int i = 0; i < PQnparams(answer); ++i) out.parameter_types.push_back(PQparamtype(answer, i));
    for (int i = 0; i < PQnfields(answer); ++i) out.columns.push_back({PQfname(answer, i), PQftype(answer, i), PQfmod(answer, i)});
    co_return out;
}

void pg_connection::collect_notifications() {
    constexpr std::size_t most = 1000; // whoever floods the channel gets no more than "something happened"
    while (auto* const one = PQnotifies(session_.get())) {
        if (notifications_.size() < most) notifications_.emplace_back(one->extra);
        PQfreemem(one);
    }
}

std::vector<std::string> pg_connection::take_notifications() { return std::exchange(notifications_, {}); }

void pg_connection::interrupt() {
    interrupted_ = true;
    waiter_->interrupt();
}

task<result<bool>> pg_connection::wait_for_notification(base::time_point deadline) {
    if (!open_) {
        error e{base::errc::connection_lost, {}, "not connected"};
        co_return e;
    }
    interrupted_ = false;
    for (;;) {
        if (PQconsumeInput(session_.get()) == 0) co_return lost();
        collect_notifications();
        if (!notifications_.empty()) co_return true;
        // The last words of a server that ends the session are no answer to anything: they are read here, then the end.
        if (PQstatus(session_.get()) == CONNECTION_BAD) co_return lost();
        if (interrupted_) co_return false;
        bool const in_time = co_await ready(direction::read, deadline);
        if (!in_time || interrupted_) co_return false;
    }
}

} // namespace pgmend::pg
