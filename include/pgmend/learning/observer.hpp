// Where the statement path tells what it found and what it did.
#pragma once

#include "pgmend/learning/evidence.hpp"

#include <string>

namespace pgmend::learning {

/// Port, implemented by control::learner. Called from any thread; never blocks. What it holds is bounded: when it is
/// full, observations are dropped and counted.
class observer {
  public:
    virtual ~observer() = default;

    /// A heal was found that needs a person's word. `pattern` is the plan's stable name, `note` what approving it means.
    virtual void proposed(std::string const& database, std::string const& pattern, evidence from, std::string const& note) = 0;

    /// A heal was used, and the statement succeeded or the server refused it.
    virtual void used(std::string const& database, std::string const& pattern, evidence from, bool success) = 0;
};

} // namespace pgmend::learning
