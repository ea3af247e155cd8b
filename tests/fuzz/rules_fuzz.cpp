// Rule files: whatever the bytes are, they are read or refused; what was read is written, and reads back to the same rules.
#include "pgmend/rules/rule_file.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/rules/rule_writer.hpp"

#include <array>
#include <cstdlib>

using namespace pgmend;

namespace {

rules::loaded load(std::string text) {
    std::array const sources{rules::source{"r.yaml", std::move(text)}};
    return rules::load(sources, {});
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(unsigned char const* data, std::size_t size) {
    auto first = load({reinterpret_cast<char const*>(data), size});
    if (!first.ok()) return 0;
    auto second = load(rules::write_rule_file(first.rules));
    if (!second.ok() || second.rules.size() != first.rules.size()) std::abort();
    for (std::size_t i = 0; i < first.rules.size(); ++i) {
        second.rules[i].where = first.rules[i].where;
        if (first.rules[i] != second.rules[i]) std::abort();
    }
    rules::rule_set const set{std::move(first.rules), 1};
    for (auto const& r : set.rules())
        if (auto const* const replaced = std::get_if<rules::statement_replaced>(&r.does))
            if (!replaced->statement.match(rules::scanned_text{replaced->statement.text()})) std::abort(); // a statement matches itself
    return 0;
}
