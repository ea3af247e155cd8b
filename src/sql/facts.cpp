#include "pgmend/sql/facts.hpp"

#include "sql/scanner.hpp"

#include <algorithm>
#include <iterator>

namespace pgmend::sql {
namespace {

using kind = statement_kind;

struct first_word {
    std::string_view word;
    statement_kind kind;
};

constexpr first_word first_words[] = {
    {"select", kind::select},       {"insert", kind::insert},       {"update", kind::update},       {"delete", kind::remove},
    {"with", kind::with},           {"begin", kind::begin},         {"commit", kind::commit},       {"rollback", kind::rollback},
    {"set", kind::set},             {"values", kind::values},       {"table", kind::table},         {"merge", kind::merge},
    {"copy", kind::copy},           {"explain", kind::explain},     {"start", kind::begin},         {"end", kind::commit},
    {"abort", kind::rollback},      {"savepoint", kind::savepoint}, {"release", kind::release},     {"reset", kind::reset},
    {"discard", kind::discard},     {"prepare", kind::prepare},     {"execute", kind::execute},     {"deallocate", kind::deallocate},
    {"declare", kind::declare},     {"fetch", kind::fetch},         {"move", kind::fetch},          {"close", kind::close},
    {"call", kind::call_or_do},     {"do", kind::call_or_do},       {"listen", kind::listen_notify}, {"unlisten", kind::listen_notify},
    {"notify", kind::listen_notify}, {"show", kind::show},          {"lock", kind::lock},           {"vacuum", kind::vacuum_like},
    {"analyze", kind::vacuum_like}, {"analyse", kind::vacuum_like}, {"cluster", kind::vacuum_like}, {"reindex", kind::vacuum_like},
    {"checkpoint", kind::vacuum_like}, {"create", kind::ddl},       {"alter", kind::ddl},           {"drop", kind::ddl},
    {"truncate", kind::ddl},        {"comment", kind::ddl},         {"grant", kind::ddl},           {"revoke", kind::ddl},
    {"refresh", kind::ddl},         {"security", kind::ddl},        {"import", kind::ddl},          {"reassign", kind::ddl},
};

/// Settings that no name's meaning depends on.
constexpr std::string_view harmless_settings[] = {
    "application_name", "bytea_output", "client_min_messages", "commit_delay", "cursor_tuple_fraction", "datestyle", "deadlock_timeout",
    "default_transaction_deferrable", "default_transaction_isolation", "default_transaction_read_only", "effective_cache_size",
    "extra_float_digits", "geqo", "idle_in_transaction_session_timeout", "idle_session_timeout", "intervalstyle", "jit", "lc_messages",
    "lc_monetary", "lc_numeric", "lc_time", "lock_timeout", "log_duration", "log_min_duration_statement", "log_statement",
    "maintenance_work_mem", "max_parallel_workers_per_gather", "parallel_setup_cost", "parallel_tuple_cost", "plan_cache_mode",
    "random_page_cost", "row_security", "statement_timeout", "synchronous_commit", "tcp_keepalives_idle", "temp_buffers", "timezone",
    "transaction_isolation", "transaction_read_only", "transaction_deferrable", "work_mem",
};

bool is_harmless(std::string_view setting) {
    if (setting.starts_with("enable_")) return true;
    return std::find(std::begin(harmless_settings), std::end(harmless_settings), setting) != std::end(harmless_settings);
}

/// Takes the tokens of a text one by one.
class classifier {
  public:
    explicit classifier(std::string_view text) : text_{text}, tokens_{text} {}

    text_facts run() {
        for (token next; tokens_.next(next); before_ = here_, before_text_ = word_) {
            here_ = next;
            word_ = text_.substr(next.begin, next.end - next.begin);
            take();
        }
        finish();
        facts_.complete = tokens_.complete();
        facts_.depends_on_backslashes = tokens_.depends_on_backslashes();
        return std::move(facts_);
    }

  private:
    [[nodiscard]] bool is(std::string_view lower_case) const { return is_word(text_, here_, lower_case); }
    [[nodiscard]] bool was(std::string_view lower_case) const { return is_word(text_, before_, lower_case); }

    void take() {
        if (here_.kind == token_kind::punctuation) {
            if (word_ == ";" && brackets_ == 0 && blocks_ == 0) return finish();
            if (word_ == "(") {
                ++brackets_;
                bool const name = count_ > 1 && (before_.kind == token_kind::word || before_.kind == token_kind::quoted);
                if (name && before_.end > statement_.text.begin) called();
            } else if (word_ == ")" && brackets_ > 0) {
                --brackets_;
            }
            if (word_ == "." && setting_ == setting_state::seen && words_ == setting_words_) {
                statement_.changes_session_meaning = false; // an extension's setting, or one of the application's
            }
            if (count_ == 0 && word_ != "(") started_ = true;
            return begin_or_extend();
        }
        begin_or_extend();
        if (here_.kind == token_kind::word) {
            if (!started_) {
                start();
            } else {
                follow();
            }
            ++words_;
        } else {
            if (!started_) started_ = true; // a statement cannot begin so
            if (words_ == 1 && here_.kind == token_kind::quoted) quoted_second();
        }
    }

    void begin_or_extend() {
        if (count_++ == 0) statement_.text.begin = here_.begin;
        statement_.text.end = here_.end;
    }

    void start() {
        started_ = true;
        for (auto const& it : first_words) {
            if (!is(it.word)) continue;
            statement_.kind = it.kind;
            break;
        }
        switch (statement_.kind) {
        case kind::ddl:
            creates_ = is("create");
            statement_.changes_session_meaning = creates_ || is("alter") || is("drop") || is("import") || is("reassign");
            break;
        case kind::discard:
        case kind::call_or_do:
        case kind::execute:
        case kind::other: statement_.changes_session_meaning = true; break;
        case kind::set: setting_ = setting_state::expected; break;
        case kind::reset: setting_ = setting_state::expected; break;
        default: break;
        }
    }

    void quoted_second() {
        if (setting_ == setting_state::expected) { // SET "Search_Path"
            setting_ = setting_state::seen;
            statement_.changes_session_meaning = true;
        }
    }

    /// Words after the first.
    void follow() {
        switch (statement_.kind) {
        case kind::rollback:
            if (is("to") && words_ <= 2) statement_.kind = kind::rollback_to;
            [[fallthrough]];
        case kind::commit:
            if (is("prepared") && words_ == 1) statement_.kind = kind::finish_prepared;
            if (is("chain")) statement_.chain = !was("no");
            break;
        case kind::prepare:
            if (is("transaction") && words_ == 1) statement_.kind = kind::prepare_transaction;
            break;
        case kind::set:
        case kind::set_local:
        case kind::reset:
            if (setting_ == setting_state::expected) setting();
            break;
        case kind::ddl: body(); break;
        case kind::select:
        case kind::with:
        case kind::explain:
        case kind::other:
            if (is("into") && !was("insert") && !was("merge")) statement_.changes_session_meaning = true; // SELECT INTO
            if (statement_.kind == kind::explain && (is("create") || is("execute") || is("refresh"))) statement_.changes_session_meaning = true;
            break;
        default: break;
        }
    }

    void setting() {
        setting_ = setting_state::seen;
        if (statement_.kind != kind::reset) {
            if (is("local")) {
                statement_.kind = kind::set_local;
                setting_ = setting_state::expected;
                return;
            }
            if (is("session")) { // SESSION CHARACTERISTICS, SESSION AUTHORIZATION, SESSION setting
                setting_ = setting_state::expected;
                return;
            }
            if (is("transaction") || is("constraints") || is("characteristics")) {
                statement_.kind = kind::set_transaction;
                return;
            }
        }
        setting_words_ = words_ + 1;
        if (is("time") || is("xml")) return; // TIME ZONE, XML OPTION
        std::string name{word_};
        std::transform(name.begin(), name.end(), name.begin(), characters::lower);
        statement_.changes_session_meaning = !is_harmless(name);
    }

    /// CREATE FUNCTION … BEGIN ATOMIC …; …; END, as psql tells where it ends.
    void body() {
        if (!creates_ || brackets_ != 0) return;
        if (words_ <= 3 && (is("function") || is("procedure"))) routine_ = true;
        if (!routine_) return;
        if (is("begin")) {
            ++blocks_;
        } else if (is("case") && blocks_ > 0) {
            ++blocks_;
        } else if (is("end") && blocks_ > 0) {
            --blocks_;
        }
    }

    void called() {
        statement_.functions.push_back(before_text_);
        if (before_text_.size() < std::string_view{"set_config"}.size()) return;
        auto name = before_text_;
        if (before_.kind == token_kind::quoted) {
            if (name.front() != '"') { // U&"…"
                statement_.changes_session_meaning = true;
                return;
            }
            name = name.substr(1, name.size() - 2);
        }
        static constexpr std::string_view set_config = "set_config";
        bool const same = name.size() == set_config.size() &&
                          std::equal(name.begin(), name.end(), set_config.begin(),
                                     [](char a, char b) { return characters::lower(a) == b; });
        if (same) statement_.changes_session_meaning = true;
    }

    void finish() {
        if (count_ > 0) {
            switch (statement_.kind) {
            case kind::begin:
            case kind::commit:
            case kind::rollback:
            case kind::savepoint:
            case kind::release:
            case kind::rollback_to:
            case kind::prepare_transaction: statement_.controls_transaction = true; break;
            case kind::reset:
            case kind::set:
            case kind::set_local:
                if (setting_ == setting_state::expected) statement_.changes_session_meaning = true; // SET SESSION …
                break;
            case kind::other: statement_.changes_session_meaning = true; break;
            default: break;
            }
            facts_.statements.push_back(std::move(statement_));
        }
        statement_ = {};
        count_ = 0;
        words_ = 0;
        brackets_ = 0;
        blocks_ = 0;
        started_ = false;
        creates_ = false;
        routine_ = false;
        setting_ = setting_state::none;
    }

    enum class setting_state : std::uint8_t { none, expected, seen };

    std::string_view text_;
    scanner tokens_;
    text_facts facts_;
    statement_facts statement_;
    token here_;
    token before_;
    std::string_view word_;
    std::string_view before_text_;
    std::size_t count_{0}; ///< tokens of the statement so far
    std::size_t words_{0};
    std::size_t setting_words_{0};
    std::size_t brackets_{0};
    std::size_t blocks_{0};
    bool started_{false};
    bool creates_{false};
    bool routine_{false};
    setting_state setting_{setting_state::none};
};

} // namespace

bool text_facts::changes_session_meaning() const {
    return !complete || depends_on_backslashes ||
           std::any_of(statements.begin(), statements.end(), [](statement_facts const& it) { return it.changes_session_meaning; });
}

bool text_facts::controls_transaction() const {
    return std::any_of(statements.begin(), statements.end(), [](statement_facts const& it) { return it.controls_transaction; });
}

text_facts classify(std::string_view text) { return classifier{text}.run(); }

bool is_of_rows(statement_kind kind) {
    switch (kind) {
    case statement_kind::select:
    case statement_kind::insert:
    case statement_kind::update:
    case statement_kind::remove:
    case statement_kind::merge:
    case statement_kind::values:
    case statement_kind::table:
    case statement_kind::with: return true;
    default: return false;
    }
}

} // namespace pgmend::sql
