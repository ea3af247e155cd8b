// Which message the server's next answer belongs to.
#pragma once

#include "pgmend/healing/healed_text.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pgmend::session {

/// The messages of a client that have answers of their own.
enum class request_kind : std::uint8_t { parse, bind, describe, close, execute, sync, query, function_call };

using healing::healed_text;

struct prepare_again;

/// What is special about the answer to one message.
struct answer_note {
    std::shared_ptr<healed_text const> healed; ///< positions in errors are those of the edited text
    std::string notice;                        ///< a frame for the client ahead of a successful answer; or empty
    std::string error;                         ///< a frame in the place of the server's error; or empty
    std::shared_ptr<healing::refusal const> refusal; ///< sent as it is, since there is no heal: why; or null
    std::string refused_sql;                   ///< with `refusal`: what was sent
    std::shared_ptr<prepare_again const> anew; ///< own: what a statement is prepared from anew, ahead of the client's Bind; or null
};

struct expected_answer {
    request_kind kind{request_kind::sync};
    bool own{false}; ///< to a message of pgmend's: nothing of the answer is for the client
    std::shared_ptr<answer_note const> note;
    std::uint64_t began_us{0}; ///< when the message came; of a steady clock
    bool premise{false};       ///< own: it asks about the premise of a heal
};

/// Messages sent whose answers have not ended, oldest first. A ring that grows: pushing and popping cost a few
/// nanoseconds, and an idle session that once had a deep pipeline gives the memory back (`shrink`).
class answer_queue {
  public:
    [[nodiscard]] bool empty() const { return first_ == entries_.size(); }
    [[nodiscard]] std::size_t size() const { return entries_.size() - first_; }
    [[nodiscard]] expected_answer const& front() const { return entries_[first_]; }
    [[nodiscard]] expected_answer const& operator[](std::size_t i) const { return entries_[first_ + i]; }

    /// How many of the client's messages that end in a ReadyForQuery (Query, Sync, FunctionCall) are not answered yet.
    [[nodiscard]] std::uint32_t closers() const { return closers_; }

    void push(expected_answer&& entry) {
        if (first_ == entries_.size()) {
            entries_.clear();
            first_ = 0;
        } else if (first_ >= most_passed_over && first_ * 2 > entries_.size()) {
            entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
        if (closes(entry)) ++closers_;
        entries_.push_back(std::move(entry));
    }
    void pop() {
        if (closes(entries_[first_])) --closers_;
        entries_[first_].note.reset();
        ++first_;
    }
    /// The newest entry, taken back.
    void pop_back() {
        if (closes(entries_.back())) --closers_;
        entries_.pop_back();
    }
    /// After an error in the extended protocol: the server passes over everything up to the next Sync. False: none was sent yet.
    bool pop_to_sync() {
        while (!empty() && front().kind != request_kind::sync) pop();
        return !empty();
    }
    void shrink() {
        if (empty() && entries_.capacity() > most_passed_over) {
            entries_ = {};
            first_ = 0;
        }
    }

  private:
    static constexpr std::size_t most_passed_over = 64;

    static bool closes(expected_answer const& entry) {
        return !entry.own && (entry.kind == request_kind::sync || entry.kind == request_kind::query ||
                              entry.kind == request_kind::function_call);
    }

    std::vector<expected_answer> entries_;
    std::size_t first_{0};
    std::uint32_t closers_{0};
};

} // namespace pgmend::session
