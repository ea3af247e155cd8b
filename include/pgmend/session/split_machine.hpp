// Finds out which rows of a batch PostgreSQL refuses, by trying them, and undoes the trial.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/catalog/objects.hpp"
#include "pgmend/session/batch.hpp"
#include "pgmend/session/pipelined_rows.hpp"
#include "pgmend/session/relay_machine.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgmend::session {

/// The text that failed, and where it came from.
struct batch_statement {
    base::byte_view sql;
    std::uint32_t message{0};                          ///< of the request; none of its: it was prepared by an earlier request
    std::optional<base::byte_view> name;               ///< that it was prepared under; nothing: it came in a Query
    std::vector<std::uint32_t> types;                  ///< of the parameters, as declared or as the server says
};

class tried_rows; ///< what is tried: the rows of one statement, or those of a pipeline

/// Rows go in halves, from left to right, each part behind a savepoint: what goes in stays for the parts after it, what does not is
/// halved again; a single row that does not go in is a bad one. So exactly those rows are bad that would fail were the rows inserted one by one.
/// Before that it makes sure that this is what the whole does, too: a plain table, without triggers of users, rules,
/// row-level security, constraints that are looked at later and foreign keys to itself. Bad rows whose values came in binary form are put into words by PostgreSQL;
/// a value whose type does not follow from its place says which it is.
///
///   begin() ──> next ── next() ──> next … ──> found (bad()) or refused (reason())
///
/// Then all of it has been rolled back. Lives as long as one statement's failure.
class split_machine {
  public:
    enum class step : std::uint8_t { need_more, next, found, refused };

    /// The rows of one statement: `request`, and what `statement` points to, must outlive this. `in_transaction`: inside a block of the client's.
    split_machine(failed_request const& request, batch_statement statement, batch rows, catalog::oid table, bool in_transaction);
    /// Those of a pipeline.
    split_machine(pipelined_rows rows, catalog::oid table, bool in_transaction);
    ~split_machine();

    /// Whether this request can be split; otherwise reason() says why not.
    [[nodiscard]] bool possible() const { return reason_.empty(); }
    [[nodiscard]] std::string begin();
    [[nodiscard]] std::string next();
    [[nodiscard]] step on_server(base::byte_view frame, std::string& to_client);

    struct bad_row {
        std::size_t number{0};
        std::string statement; ///< the INSERT with this row alone, its parameters' values as literals
        std::string sqlstate;
        std::string message;
    };
    [[nodiscard]] std::vector<bad_row> const& bad() const { return bad_; }
    /// What the session reads values by, as `SET LOCAL` statements: dates, times, backslashes, the encoding.
    [[nodiscard]] std::string const& settings() const { return settings_; }
    /// Rows that went in.
    [[nodiscard]] std::vector<std::size_t> good() const;
    /// As the server understood them; nothing: the text has no parameters, or it is a pipeline.
    [[nodiscard]] std::optional<std::vector<catalog::oid>> parameter_types() const;
    /// Message of the request whose place a Bind of the good rows shall take; nothing: the text itself is sent with those rows alone, or it is a pipeline.
    [[nodiscard]] std::optional<std::uint32_t> bind_in_place() const;
    /// Parameters of no good row: ascending.
    [[nodiscard]] std::vector<std::uint32_t> unused_parameters() const;
    [[nodiscard]] std::string const& reason() const { return reason_; }

  private:
    enum class phase : std::uint8_t { looking, trying, naming, wording, ending };

    std::string undo_part();
    std::string end();
    step end_of_exchange();
    step end_of_trial(std::optional<std::pair<std::string, std::string>> error);
    void refuse(std::string why) {
        if (reason_.empty()) reason_ = std::move(why);
    }

    std::unique_ptr<tried_rows> rows_;
    catalog::oid table_;
    bool in_transaction_;
    phase phase_{phase::looking};
    std::string reason_;
    std::optional<bool> plain_;                         // the table is one
    std::vector<std::pair<std::size_t, std::size_t>> left_; // parts to be tried, the next one last
    std::optional<std::pair<std::string, std::string>> error_; // of the part under way: SQLSTATE and message
    bool undo_{false};                                  // the part before failed
    std::vector<catalog::oid> asked_types_;             // in the order of the answer
    bool named_{false};
    bool worded_{false};
    std::string settings_;
    std::vector<bad_row> bad_;
};

/// Whether an error of this kind is about a row's values.
[[nodiscard]] bool is_of_the_data(base::byte_view sqlstate);

} // namespace pgmend::session
