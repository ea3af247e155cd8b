// What is kept across restarts, as plain values.
#pragma once

#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/state/drift.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pgmend::state {

/// A pattern has changed.
struct pattern_change {
    learning::pattern now;          ///< as it is after the change
    bool decided{false};            ///< its state, evidence, note or reason changed; else only its counts, by what follows
    std::uint64_t more_successes{0};
    std::uint64_t more_failures{0};
};

/// A pattern that had to make room for others.
struct pattern_removed {
    std::string database;
    std::string text;
};

/// Adds `seen.count` to the row with the same key.
struct drift_change {
    drift_row seen;
};

/// A healed statement.
struct heal_row {
    time_point at{};
    std::string database, user, application_name, client;
    std::string fingerprint;
    std::string pattern;
    std::string evidence;
    std::string sqlstate;      ///< of the error that led to it; empty: it did not fail
    std::string before, after; ///< normalized
    bool success{true};
    std::int64_t duration_us{0};
    int tier{1};
};

/// A value that a healed write left out. Here, and only here, values are kept: that is the purpose.
struct lost_value {
    std::string column;    ///< qualified
    std::uint32_t row{0};  ///< of VALUES, from 0
    std::string expression; ///< as the client wrote it: a literal, or $n
    /// The parameter's value where the expression is $n: text as it came, or \x and hexadecimal digits where it came in binary form.
    std::string value;
    bool is_null{false};
};
/// A write that lost values, whole, so that they can be put where they belong. It was kept right before the write was sent: whether that
/// succeeded, and was committed, is another matter.
struct audit_row {
    time_point at{};
    std::string database, user, application_name, client;
    std::string fingerprint;
    std::string pattern;
    std::string before;     ///< as the client sent it
    std::string parameters; ///< JSON: for each execution an array of texts and nulls; empty: a text without parameters
    std::string after;      ///< normalized
    std::vector<lost_value> values;
};

/// A row of a batch that PostgreSQL refused and a rule let aside. Values are kept: that is the purpose.
struct dead_letter {
    std::uint64_t id{0};
    time_point at{};
    std::string database, user, application_name;
    std::string rule;
    std::string search_path; ///< schemas by which the statement's names were found, comma separated
    std::string statement;   ///< runs on its own: the client's INSERT with this row alone
    std::string settings;    ///< by which its values are to be read: `SET LOCAL …; SET LOCAL …` (column `parameters`: PostgreSQL's run-time ones); empty: any
    std::string sqlstate;
    std::string message;
    std::string state;       ///< waiting, retried
};

/// A named value of some part of pgmend: state of circuit breakers, decisions of the optimizer. The newest counts.
struct entry {
    enum class table_type : std::uint8_t { circuit_breaker_state, optimizer_decisions } table{table_type::circuit_breaker_state};
    std::string key;   ///< a backend's name
    std::string value; ///< JSON, or what its owner likes
    time_point at{};
};

using change = std::variant<pattern_change, pattern_removed, drift_change, heal_row, audit_row, dead_letter, entry>;

} // namespace pgmend::state
