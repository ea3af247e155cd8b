// Finds out which rows of a batch PostgreSQL refuses, by trying them, and undoes the trial.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/catalog/objects.hpp"
#include "pgmend/session/batch.hpp"
#include "pgmend/session/relay_machine.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgmend::session {

/// Rows go in halves, from left to right, each part behind a savepoint: what goes in stays for the parts after it, what does not is
/// halved again; a single row that does not go in is a bad one. So exactly those rows are bad that would fail were the rows inserted one by one.
/// Before that it makes sure that this is what the whole statement does, too: a plain table, without triggers of users, rules,
/// row-level security and foreign keys to itself.
///
///   begin() ──> next ── next() ──> next … ──> found (bad()) or refused (reason())
///
/// Then all of it has been rolled back. Lives as long as one statement's failure.
class split_machine {
  public:
    enum class step : std::uint8_t { need_more, next, found, refused };

    /// `request` and `sql` (the text of its message `text`) must outlive this; `in_transaction`: inside a block of the client's.
    split_machine(failed_request const& request, std::uint32_t text, base::byte_view sql, batch rows, catalog::oid table, bool in_transaction);

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
    [[nodiscard]] batch const& rows() const { return rows_; }
    /// Rows that went in.
    [[nodiscard]] std::vector<std::size_t> good() const;
    /// As the server understood them; nothing: the text has no parameters.
    [[nodiscard]] std::optional<std::vector<catalog::oid>> const& parameter_types() const { return types_; }
    /// Parameters of no good row: ascending.
    [[nodiscard]] std::vector<std::uint32_t> unused_parameters() const;
    [[nodiscard]] std::string const& reason() const { return reason_; }

  private:
    enum class phase : std::uint8_t { looking, trying, ending };

    void read_request(std::uint32_t text);
    void append_trial(std::string& out);
    std::string end();
    step end_of_exchange();
    void refuse(std::string why) {
        if (reason_.empty()) reason_ = std::move(why);
    }
    [[nodiscard]] std::string with_values(std::size_t row) const;

    failed_request const& request_;
    base::byte_view sql_;
    batch rows_;
    catalog::oid table_;
    bool in_transaction_;
    phase phase_{phase::looking};
    std::string reason_;
    bool extended_{false};
    std::vector<std::uint32_t> declared_;
    std::vector<std::optional<base::byte_view>> values_; // of the Bind message; views into the request
    bool binary_{false};
    std::optional<std::vector<catalog::oid>> types_;
    std::optional<bool> plain_;                         // the table is one
    std::vector<std::pair<std::size_t, std::size_t>> left_; // parts to be tried, the next one last
    std::optional<std::pair<std::string, std::string>> error_; // of the part under way: SQLSTATE and message
    bool undo_{false};                                  // the part before failed
    std::vector<bad_row> bad_;
};

/// Whether an error of this kind is about a row's values.
[[nodiscard]] bool is_of_the_data(base::byte_view sqlstate);

} // namespace pgmend::session
