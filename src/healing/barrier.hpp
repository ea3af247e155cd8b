// Statements behind which names may mean something else.
#pragma once

#include "pgmend/sql/facts.hpp"

#include <cstddef>
#include <string_view>

namespace pgmend::healing {

class barriers {
  public:
    explicit barriers(std::string_view sql);

    /// Whether statement `index` may change what the names of the statements behind it mean: DDL, SET, CALL, DO, the end of
    /// a transaction (which undoes SET LOCAL), set_config(), SELECT INTO, whatever is not known.
    [[nodiscard]] bool behind(std::size_t index) const;

    [[nodiscard]] std::size_t statements() const { return facts_.statements.size(); }

  private:
    sql::text_facts facts_;
};

} // namespace pgmend::healing
