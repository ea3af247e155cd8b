#include "pgmend/session/pipelined_rows.hpp"

#include "pgmend/sql/lexer.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace pgmend::session {
namespace {

base::error refuse(std::string why) { return base::fail(base::errc::not_supported, std::move(why)); }

class rows_reader {
  public:
    rows_reader(failed_request const& request, earlier_statement const& earlier) : request_{request} {
        if (!earlier.sql.empty()) statements_[earlier.name] = {earlier.name, earlier.sql, earlier.types};
    }

    base::result<pipelined_rows> read() {
        if (!request_.whole) return refuse("the request is longer than healing.max_statement_bytes");
        if (request_.open) return refuse("the request is not complete");
        if (!request_.edits.empty()) return refuse("a statement of the request was healed");
        std::uint32_t index = 0;
        bool ended = false;
        for (auto const frame : messages_of(request_.request)) {
            if (ended) return refuse("the request holds other statements");
            if (auto const problem = message(index++, frame); !problem.empty()) return refuse(problem);
            ended = frame[0] == 'S';
        }
        if (!ended || bound_) return refuse("the request is not complete");
        if (out_.rows.size() < 2) return refuse("the statement is executed once, with one row");
        return std::move(out_);
    }

  private:
    /// Why not; empty: go on.
    std::string message(std::uint32_t index, base::byte_view frame) {
        auto const body = wire::body_of(frame);
        switch (frame[0]) {
        case 'P': {
            auto view = wire::read_parse(body);
            if (!view) return "a Parse message is not well-formed";
            statements_[view->statement] = std::move(*view);
            return {};
        }
        case 'B': {
            auto view = wire::read_bind(body);
            if (!view) return "a Bind message is not well-formed";
            if (!view->portal.empty()) return "a named portal";
            if (bound_) return "a statement is bound and not executed";
            auto const statement = statements_.find(view->statement);
            if (statement == statements_.end()) return "a statement was prepared by an earlier request";
            bound_ = pipelined_rows::row{index, statement->second.sql, statement->second.parameter_types, std::move(*view)};
            return {};
        }
        case 'E': return executed(body);
        case 'C': {
            wire::cursor in{body};
            if (in.byte() == 'S') statements_.erase(in.text());
            return {};
        }
        case 'D':
        case 'S': return {};
        default: return "the request holds other statements";
        }
    }

    std::string executed(base::byte_view body) {
        wire::cursor in{body};
        if (!in.text().empty()) return "a named portal";
        if (!bound_) return "a statement is executed more than once";
        auto row = *std::exchange(bound_, std::nullopt);
        if (out_.rows.empty() && !begun_ && begins_block(row.sql)) {
            begun_ = true;
            return {};
        }
        if (out_.rows.empty() || row.sql != out_.rows.back().sql) {
            auto found = read_batch(row.sql, 1);
            if (!found) return "the request holds other statements than plain INSERT … VALUES";
            if (found->rows.size() != 1) return "a pipeline of statements of several rows";
            if (out_.rows.empty()) out_.of = *found;
            else if (found->schema != out_.of.schema || found->table != out_.of.table) return "the request writes to several tables";
            numbers_ = std::move(found->parameters.front());
        }
        for (auto const n : numbers_)
            if (n > row.bound.values.size()) return "a parameter has no value";
        out_.rows.push_back(std::move(row));
        return {};
    }

    failed_request const& request_;
    std::map<base::byte_view, wire::parse_view> statements_; ///< as they are at this point, by name
    std::optional<pipelined_rows::row> bound_;
    std::vector<std::uint32_t> numbers_; ///< parameters of the newest text
    bool begun_{false};
    pipelined_rows out_;
};

} // namespace

bool begins_block(base::byte_view sql) {
    auto const list = sql::scan(sql);
    if (list.tokens.empty()) return false;
    bool const one = std::none_of(list.tokens.begin(), list.tokens.end() - 1, [&](auto const& it) { return sql.substr(it.begin, it.end - it.begin) == ";"; });
    return one && (sql::is_word(sql, list.tokens.front(), "begin") || sql::is_word(sql, list.tokens.front(), "start"));
}

bool may_be_pipeline(failed_request const& request) {
    auto const messages = messages_of(request.request);
    return std::count_if(messages.begin(), messages.end(), [](auto frame) { return frame[0] == 'E'; }) > 1;
}

base::result<pipelined_rows> read_pipeline(failed_request const& request, earlier_statement const& earlier) { return rows_reader{request, earlier}.read(); }

} // namespace pgmend::session
