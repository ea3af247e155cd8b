// JSON as a value, for the schemas that editors read.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pgmend::yaml {

/// Members keep their order.
class json {
  public:
    using array = std::vector<json>;
    using object = std::vector<std::pair<std::string, json>>;

    json(bool value) : value_{value} {}
    json(std::int64_t value) : value_{value} {}
    json(std::string value) : value_{std::move(value)} {}
    json(char const* value) : value_{std::string{value}} {}
    json(array value) : value_{std::move(value)} {}
    json(object value) : value_{std::move(value)} {}

    /// Two blanks a level; what fits into one line of 120 is one line.
    [[nodiscard]] std::string text(std::size_t indent = 0) const;

  private:
    [[nodiscard]] std::string line() const;

    std::variant<bool, std::int64_t, std::string, array, object> value_;
};

} // namespace pgmend::yaml
