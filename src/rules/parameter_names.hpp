// `:name` in the place of `$1`, in the texts of statement rules.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pgmend::rules {

/// Numbers for the names of one rule's parameters, in the order in which they first appear; the same in each text that it is given.
class parameter_names {
  public:
    /// The text with `$n` in the place of each `:name` (in any case of letters); `::type`, bounds of array slices and what stands in quotes stay.
    [[nodiscard]] std::string numbered(std::string const& text);

    /// Names and numbers are in use: nobody could tell which is which.
    [[nodiscard]] bool mixed() const { return numbers_ && !names_.empty(); }

    /// What the file calls parameter n: `:name` or `$n`.
    [[nodiscard]] std::string called(std::uint32_t n) const;

  private:
    std::vector<std::string> names_; ///< [n - 1] is $n
    bool numbers_{false};
};

} // namespace pgmend::rules
