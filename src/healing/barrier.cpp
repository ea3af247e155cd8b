#include "healing/barrier.hpp"

#include "pgmend/sql/facts.hpp"

namespace pgmend::healing {

barriers::barriers(std::string_view sql) : facts_{sql::classify(sql)} {}

bool barriers::behind(std::size_t index) const {
    if (index >= facts_.statements.size()) return true;
    auto const& it = facts_.statements[index];
    switch (it.kind) {
    case sql::statement_kind::commit: // ends what SET LOCAL did
    case sql::statement_kind::rollback:
    case sql::statement_kind::rollback_to:
    case sql::statement_kind::prepare_transaction:
    case sql::statement_kind::finish_prepared: return true;
    default: return it.changes_session_meaning;
    }
}

} // namespace pgmend::healing
