// Answers that are kept for the time when a server does not answer.
#pragma once

#include "pgmend/base/time.hpp"

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace pgmend::net {

/// The last good answer for each key, bounded in bytes: the one that was renewed longest ago goes first. A key names the database, the user, the start-up
/// parameters and the request with its parameters, all byte for byte. Any thread; the mutex is taken only for statements that a rule
/// with `fallback` names.
class kept_answers {
  public:
    static constexpr std::size_t most_bytes = 16 << 20;
    static constexpr std::size_t most_bytes_of_one = 1 << 20;

    struct found {
        std::shared_ptr<std::string const> answer;
        base::duration age;
    };

    void keep(std::string key, std::string answer, base::time_point now);
    [[nodiscard]] std::optional<found> find(std::string const& key, base::duration oldest, base::time_point now) const;
    [[nodiscard]] std::size_t bytes() const;

  private:
    struct kept {
        std::string key;
        std::shared_ptr<std::string const> answer;
        base::time_point at;
        [[nodiscard]] std::size_t size() const { return key.size() + answer->size(); }
    };
    using list = std::list<kept>;

    mutable std::mutex mutex_;
    list by_age_; ///< oldest first
    std::unordered_map<std::string, list::iterator> by_key_;
    std::size_t bytes_{0};
};

} // namespace pgmend::net
