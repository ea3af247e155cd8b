// The planner with arbitrary statements: a plan's text is the client's text with the plan's edits, and nothing else.
#include "pgmend/base/bytes.hpp"
#include "pgmend/catalog/history.hpp"
#include "pgmend/healing/planner.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace pgmend;

namespace {

catalog::column column(std::int16_t number, char const* name, catalog::oid type) {
    catalog::column made;
    made.number = number;
    made.name = name;
    made.type = type;
    return made;
}

/// Names that change from one version to the next.
struct names {
    char const* email;
    char const* orders;
    char const* happy;
    char const* mood;
    char const* shout;
    char const* key;
};

std::shared_ptr<catalog::snapshot const> version(names const& is) {
    auto users = std::make_shared<catalog::relation>();
    users->id = 16384;
    users->schema = "public";
    users->name = "users";
    users->columns = {column(1, "id", 23), column(2, is.email, 25), column(3, "name", 25), column(4, "mood", 16400)};
    users->constraints = {{16399, is.key, 'p', {1}}};
    auto sold = std::make_shared<catalog::relation>();
    sold->id = 16390;
    sold->schema = "public";
    sold->name = is.orders;
    sold->columns = {column(1, "id", 23), column(2, "user_id", 23), column(3, "total", 1700)};
    catalog::database_identity identity;
    identity.system_identifier = "1";
    identity.database = 5;
    catalog::contents all;
    all.relations = {users, sold};
    auto const type = [&](catalog::oid id, char const* schema, char const* name, char kind, catalog::oid element, catalog::oid array) {
        auto made = std::make_shared<catalog::type_entry>();
        made->id = id;
        made->schema = schema;
        made->name = name;
        made->kind = kind;
        made->element = element;
        made->array = array;
        if (kind == 'e') made->labels = {{16402, is.happy}, {16404, "sad"}};
        all.types.push_back(std::move(made));
    };
    type(23, "pg_catalog", "int4", 'b', 0, 0);
    type(25, "pg_catalog", "text", 'b', 0, 0);
    type(16400, "public", is.mood, 'e', 0, 16401);
    type(16401, "public", "_mood", 'b', 16400, 0);
    auto const function = [&](catalog::oid id, char const* name, catalog::oid argument, catalog::oid result) {
        auto made = std::make_shared<catalog::function_entry>();
        made->id = id;
        made->schema = "public";
        made->name = name;
        made->arguments = {argument};
        made->result = result;
        all.functions.push_back(std::move(made));
    };
    function(16410, is.shout, 25, 25);
    function(16411, "series", 23, 23);
    function(16412, "cheer", 16400, 16400);
    all.system_functions = std::make_shared<std::vector<std::string> const>(std::vector<std::string>{"count", "lower", "max", "unnest"});
    return std::make_shared<catalog::snapshot>(identity, std::move(all));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static auto const schema = catalog::history::with(std::make_shared<catalog::history const>(version({"email", "orders", "happy", "mood", "shout", "users_pkey"})),
                                                      version({"email_address", "sales", "glad", "feeling", "cry", "users_key"}));
    base::byte_view const sql{reinterpret_cast<char const*>(data), size};
    healing::session_view session;
    session.search_path = {"pg_catalog", "public"};
    session.client_encoding = "UTF8";
    healing::question question{sql, session, {}, false, {}, false, {}, {}};
    if (size % 3 != 0) {
        question.error = healing::server_error{size % 2 == 0 ? "42703" : "42P01", "", {}, "", "", "", ""};
        if (size % 5 != 0) question.error->position = 8U;
    }
    auto const verdict = healing::judge(question, {schema.get(), nullptr, nullptr, {}});
    if (auto const* const plan = std::get_if<healing::plan>(&verdict)) {
        std::string text;
        std::size_t from = 0;
        for (auto const& edit : plan->edits) {
            if (edit.begin < from || edit.end < edit.begin || edit.end > sql.size()) std::abort();
            text.append(sql.substr(from, edit.begin - from)).append(edit.text);
            from = edit.end;
        }
        text.append(sql.substr(from));
        if (text != plan->sql || plan->healed.empty()) std::abort();
        for (auto const& it : plan->healed) {
            if (it.end > text.size() || it.begin > it.end || it.index >= plan->statements) std::abort();
        }
        (void)healing::original_position(*plan, sql, static_cast<std::uint32_t>(size));
    }
    (void)healing::normalized(sql);
    (void)healing::fingerprint(sql);
    return 0;
}
