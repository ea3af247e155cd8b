// What split_machine tries: where the rows stand, and how a part of them is sent.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/catalog/objects.hpp"
#include "pgmend/session/batch.hpp"
#include "pgmend/session/pipelined_rows.hpp"
#include "pgmend/session/relay_machine.hpp"
#include "pgmend/session/split_machine.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgmend::session {

class tried_rows {
  public:
    virtual ~tried_rows() = default;

    [[nodiscard]] virtual std::size_t count() const = 0;
    /// What has to be known before the first trial, if anything.
    virtual void append_question(std::string& out) const = 0;
    [[nodiscard]] virtual bool is_described() const = 0;
    /// Rows [first, last), under pgmend's own names; nothing of that is left where it succeeds.
    virtual void append_trial(std::string& out, std::size_t first, std::size_t last) const = 0;
    virtual void on_types(base::byte_view parameter_description) = 0;
    /// Row `number`, tried alone, is a bad one.
    virtual void note_bad(std::size_t number) = 0;
    /// After all trials: types whose names alone() needs, ascending, each once. Then set_names().
    [[nodiscard]] virtual std::vector<catalog::oid> types_to_name() const = 0;
    void set_names(std::map<catalog::oid, std::string> names) { names_ = std::move(names); }
    /// And has the server write out what is not text. False: there is nothing of that kind.
    virtual bool append_wording(std::string& out) const = 0;
    virtual void on_words(std::vector<std::optional<base::byte_view>> const& row) = 0;
    /// The row as a statement that runs on its own. Nothing: its values are not known.
    [[nodiscard]] virtual std::optional<std::string> alone(std::size_t number) const = 0;
    [[nodiscard]] virtual std::optional<std::vector<catalog::oid>> types() const = 0;
    [[nodiscard]] virtual std::optional<std::uint32_t> bind_in_place() const { return std::nullopt; }
    [[nodiscard]] virtual std::vector<std::uint32_t> unused_parameters(std::vector<std::size_t> const& good) const = 0;

  protected:
    std::map<catalog::oid, std::string> names_; ///< of types, as SQL
};

/// A Query; or one Bind and Execute of a statement that this request has prepared, or an earlier one, and the Sync. Everything else may have more to do
/// with the statement than is in sight: then `reason` says what.
[[nodiscard]] std::unique_ptr<tried_rows> rows_of_statement(failed_request const& request, batch_statement statement, batch rows, std::string& reason);
[[nodiscard]] std::unique_ptr<tried_rows> rows_of_pipeline(pipelined_rows rows);

} // namespace pgmend::session
