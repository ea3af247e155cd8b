// Messages of pgmend's own on a client's server connection.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/session/answer_queue.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace pgmend::session {

// No client uses these names. If one did, Parse would fail (42P05) and the heal would be refused.
inline constexpr base::byte_view own_name = "_pgmend_probe_2f6b9c";
inline constexpr base::byte_view own_rows = "_pgmend_rows_2f6b9c";
inline constexpr base::byte_view own_premise = "_pgmend_premise_2f6b9c";
inline constexpr base::byte_view own_savepoint = "_pgmend_savepoint_2f6b9c";

inline constexpr base::byte_view set_savepoint = "SAVEPOINT _pgmend_savepoint_2f6b9c";
inline constexpr base::byte_view release_savepoint = "RELEASE SAVEPOINT _pgmend_savepoint_2f6b9c";
inline constexpr base::byte_view roll_back_to_savepoint = "ROLLBACK TO SAVEPOINT _pgmend_savepoint_2f6b9c";

/// Prepares `own_name`: Close and Parse. What failed when it was executed (a timeout, a cancel, a savepoint that is gone) has taken the Close behind it
/// with it, and the name would be taken for the rest of the session.
void append_own_parse(std::string& out, base::byte_view sql, std::vector<std::uint32_t> const& types);

/// Prepares, executes and closes a statement: extended messages, because a Query would destroy the
/// client's unnamed statement.
void append_statement(std::string& out, base::byte_view sql, std::span<base::byte_view const> parameters = {});
inline constexpr request_kind statement_answers[] = {request_kind::close, request_kind::parse, request_kind::bind, request_kind::execute, request_kind::close, request_kind::close};

/// Their entries in the queue.
void expect_statement(answer_queue& queue);

/// Prepares a statement anew under its name. Where PostgreSQL refuses the text, what the name stands for stays: the text is tried under a name of pgmend's
/// first, and what that locks stays locked. Returns where the Parse under that name begins in `out`.
std::size_t append_prepare_anew(std::string& out, base::byte_view statement, base::byte_view sql, std::vector<std::uint32_t> const& types);
/// `note` is of the first Parse: if any, this one is refused.
[[nodiscard]] std::vector<expected_answer> prepare_anew_answers(std::shared_ptr<answer_note const> note = nullptr);

/// healing::premise_sql under `own_premise`, whether it is there already or not: Close and Parse.
void append_premise_statement(std::string& out);

/// Bind, Execute and Close of it.
void append_premise(std::string& out, std::vector<std::string> const& parameters);

/// Asks about these premises, one after the other; `prepares`: append_premise_statement() comes first. Returns the entries of the answers.
[[nodiscard]] std::vector<expected_answer> append_premises(std::string& out, bool prepares, std::vector<std::shared_ptr<healed_text const>> const& of);

} // namespace pgmend::session
