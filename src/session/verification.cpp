#include "pgmend/session/verification.hpp"

#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "session/own_messages.hpp"

namespace pgmend::session {
namespace {

bool shape_fits(std::vector<healing::expected_column> const& expected, base::byte_view row_description) {
    auto const fields = wire::read_row_description(row_description);
    if (!fields || fields->size() != expected.size()) return false;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        auto const& is = (*fields)[i];
        auto const& want = expected[i];
        if (want.label && *want.label != is.label) return false;
        if (want.table != 0 && (want.table != is.table || want.number != is.number)) return false;
        if (want.type != 0 && (want.type != is.type || want.type_modifier != is.type_modifier)) return false;
    }
    return true;
}

} // namespace

void verification::append(std::string& out) const {
    auto const& types = plan_.parameter_types ? *plan_.parameter_types : parameter_types_;
    for (auto const& statement : plan_.healed) {
        auto const text = base::byte_view{plan_.sql}.substr(statement.begin, statement.end - statement.begin);
        append_own_parse(out, text, types);
        wire::append_describe_statement(out, own_name);
        wire::append_close_statement(out, own_name);
    }
    if (plan_.premise.empty()) return;
    append_premise_statement(out);
    append_premise(out, plan_.premise);
}

std::size_t verification::closes() const { return 2 * plan_.healed.size() + (plan_.premise.empty() ? 0 : 2); }

std::optional<std::string> verification::on_description(char type, base::byte_view body) {
    if (complete()) return "the server described more statements than there are";
    auto const& expected = plan_.healed[described_++].columns;
    if (type == 'n') {
        if (expected) return "the edited statement would answer without rows";
        return std::nullopt;
    }
    if (!expected || !shape_fits(*expected, body)) return "the edited statement would answer with other columns than before";
    return std::nullopt;
}

} // namespace pgmend::session
