#include "pgmend/sql/parse.hpp"

#include "sql/resolver.hpp"

#include "sql/nodes.hpp"

#include <cstdlib>
#include <utility>

namespace pgmend::sql {

std::vector<ddl_action> ddl_of(void* statement); // ddl.cpp

struct parsed_text::tree {
    tree() = default;
    tree(tree const&) = delete;
    tree& operator=(tree const&) = delete;
    ~tree() {
        if (context != nullptr) pg_query_exit_memory_context(context);
    }

    std::string text;
    std::vector<token> tokens;
    std::vector<span> statements;
    std::vector<RawStmt*> roots;
    MemoryContext context{nullptr};
};

parsed_text::parsed_text(std::unique_ptr<tree> parsed) : tree_{std::move(parsed)} {}
parsed_text::parsed_text(parsed_text&&) noexcept = default;
parsed_text& parsed_text::operator=(parsed_text&&) noexcept = default;
parsed_text::~parsed_text() = default;

base::result<parsed_text> parsed_text::parse(std::string text) {
    if (text.size() > most_bytes) return base::fail(base::errc::too_large, "the text is longer than 64 KiB");
    if (text.find('\0') != std::string::npos) return base::fail(base::errc::invalid_input, "the text holds a NUL byte");
    auto list = scan(text);
    if (!list.complete) return base::fail(base::errc::invalid_input, "a quote or a comment is not closed");
    if (list.tokens.size() > most_tokens) return base::fail(base::errc::too_large, "the text has too many tokens");
    if (list.deepest > most_brackets) return base::fail(base::errc::too_large, "brackets are nested too deeply");

    auto parsed = std::make_unique<tree>();
    parsed->text = std::move(text);
    parsed->tokens = std::move(list.tokens);
    parsed->context = pg_query_enter_memory_context();
    auto const answer = pg_query_raw_parse(parsed->text.c_str());
    std::free(answer.stderr_buffer);
    if (answer.error != nullptr) {
        pg_query_free_error(answer.error); // its message may quote literals
        return base::fail(base::errc::not_supported, "the grammar of PostgreSQL 15 cannot read the text");
    }
    for (Node* node : nodes{answer.tree}) {
        auto* root = as<RawStmt>(node);
        auto const begin = static_cast<std::uint32_t>(root->stmt_location < 0 ? 0 : root->stmt_location);
        auto const end = root->stmt_len > 0 ? begin + static_cast<std::uint32_t>(root->stmt_len)
                                            : static_cast<std::uint32_t>(parsed->text.size());
        parsed->statements.push_back({begin, end});
        parsed->roots.push_back(root);
    }
    return parsed_text{std::move(parsed)};
}

std::string const& parsed_text::text() const { return tree_->text; }
std::vector<token> const& parsed_text::tokens() const { return tree_->tokens; }
std::vector<span> const& parsed_text::statements() const { return tree_->statements; }

std::vector<ddl_action> parsed_text::names_changed(std::size_t index) const { return ddl_of(tree_->roots[index]->stmt); }

resolve_outcome parsed_text::resolve(std::size_t index, relation_source& source, bool careful) const {
    return resolver{tree_->text, tree_->tokens, source, careful}.run(tree_->roots[index]->stmt);
}

} // namespace pgmend::sql
