// SQLite, as far as it is used here.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace pgmend::store {

/// Thrown by what follows; caught in this folder.
struct sqlite_error : std::runtime_error {
    sqlite_error(int its_code, std::string const& what) : std::runtime_error{what}, code{its_code & 0xff} {}
    [[nodiscard]] bool is_damage() const { return code == SQLITE_CORRUPT || code == SQLITE_NOTADB; }
    int code;
};

class connection {
  public:
    /// `damaged`, if any, becomes true when SQLite finds that the file is.
    connection(std::string const& path, bool read_only, std::shared_ptr<bool> damaged = nullptr) : damaged_{std::move(damaged)} {
        sqlite3* opened = nullptr;
        auto const flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
        auto const code = sqlite3_open_v2(path.c_str(), &opened, flags, nullptr);
        handle_.reset(opened);
        if (code != SQLITE_OK) fail(code, opened ? sqlite3_errmsg(opened) : "out of memory");
        sqlite3_extended_result_codes(opened, 1);
        sqlite3_busy_timeout(opened, 5000);
    }
    [[nodiscard]] sqlite3* get() const { return handle_.get(); }
    void run(char const* sql) const {
        auto const code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
        if (code != SQLITE_OK) fail(code, sqlite3_errmsg(handle_.get()));
    }
    [[noreturn]] void fail(int code, char const* what) const {
        sqlite_error const error{code, what};
        if (damaged_ && error.is_damage()) *damaged_ = true;
        throw error;
    }

  private:
    struct closer {
        void operator()(sqlite3* c) const { sqlite3_close_v2(c); }
    };
    std::unique_ptr<sqlite3, closer> handle_;
    std::shared_ptr<bool> damaged_;
};

/// One statement with its parameters in order; each row is read before the next step.
class statement {
  public:
    statement(connection const& to, char const* sql) : to_{to} {
        sqlite3_stmt* made = nullptr;
        check(sqlite3_prepare_v2(to.get(), sql, -1, &made, nullptr));
        handle_.reset(made);
    }
    statement& bind(std::int64_t value) {
        check(sqlite3_bind_int64(handle_.get(), ++bound_, value));
        return *this;
    }
    statement& bind(std::string_view text) {
        check(sqlite3_bind_text64(handle_.get(), ++bound_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
        return *this;
    }
    statement& bind_blob(std::string_view bytes) {
        check(sqlite3_bind_blob64(handle_.get(), ++bound_, bytes.data(), bytes.size(), SQLITE_TRANSIENT));
        return *this;
    }
    statement& bind_null() {
        check(sqlite3_bind_null(handle_.get(), ++bound_));
        return *this;
    }
    bool step() {
        auto const code = sqlite3_step(handle_.get());
        if (code != SQLITE_ROW && code != SQLITE_DONE) check(code);
        return code == SQLITE_ROW;
    }
    [[nodiscard]] std::int64_t number(int column) const { return sqlite3_column_int64(handle_.get(), column); }
    [[nodiscard]] std::string text(int column) const {
        auto const* bytes = static_cast<char const*>(sqlite3_column_blob(handle_.get(), column));
        return {bytes ? bytes : "", static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column))};
    }

  private:
    struct finalizer {
        void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
    };
    void check(int code) const {
        if (code != SQLITE_OK) to_.fail(code, sqlite3_errmsg(to_.get()));
    }
    connection const& to_;
    std::unique_ptr<sqlite3_stmt, finalizer> handle_;
    int bound_{0};
};

/// Everything or nothing.
class transaction {
  public:
    explicit transaction(connection const& in) : in_{in} { in_.run("BEGIN IMMEDIATE"); }
    ~transaction() {
        if (!done_) sqlite3_exec(in_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
    transaction(transaction const&) = delete;
    transaction& operator=(transaction const&) = delete;
    void commit() {
        in_.run("COMMIT");
        done_ = true;
    }

  private:
    connection const& in_;
    bool done_{false};
};

} // namespace pgmend::store
