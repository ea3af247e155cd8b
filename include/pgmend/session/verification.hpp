// Whether PostgreSQL accepts a plan, with the shape that the client expects.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/healing/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::session {

/// Has each edited statement of a plan parsed and described under a name of pgmend's own, and asks about the premise, where there is one: what is not known yet
/// could give the names of the edited text another meaning. Nothing of the statement is executed.
class verification {
  public:
    /// `plan` must outlive this. `parameter_types`: as the client declared.
    verification(healing::plan const& plan, std::vector<std::uint32_t> const& parameter_types)
        : plan_{plan}, parameter_types_{parameter_types} {}

    /// Parse, Describe and Close for each statement, and the premise; the caller appends the Sync. An error behind complete() tells that the premise does not hold.
    void append(std::string& out) const;
    /// So many CloseComplete are among the answers; the last one ends them.
    [[nodiscard]] std::size_t closes() const;

    /// RowDescription ('T') or NoData ('n') of the next statement, in order. A reason where it does not fit.
    [[nodiscard]] std::optional<std::string> on_description(char type, base::byte_view body);
    /// All statements were described: then only the premise can fail.
    [[nodiscard]] bool complete() const { return described_ == plan_.healed.size(); }

  private:
    healing::plan const& plan_;
    std::vector<std::uint32_t> const& parameter_types_;
    std::size_t described_{0};
};

} // namespace pgmend::session
