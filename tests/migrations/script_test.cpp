#include "pgmend/migrations/script.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using migrations::read_script;
using kind = sql::ddl_action::kind_type;

namespace {

/// `rename public.a.b>c@4`, in order.
std::vector<std::string> actions(std::string_view text) {
    static constexpr char const* words[] = {"create", "drop", "rename", "move", "add", "remove", "column", "label", "path"};
    std::vector<std::string> out;
    for (auto const& it : read_script(text).actions) {
        auto const& a = it.what;
        std::string one = words[static_cast<int>(a.kind)];
        one += " " + (a.schema.empty() ? a.name : a.schema + "." + a.name);
        if (!a.member.empty()) one += "." + a.member;
        if (!a.now.empty()) one += ">" + a.now;
        out.push_back(one + "@" + std::to_string(it.line));
    }
    return out;
}

std::vector<std::string> problems(std::string_view text) {
    std::vector<std::string> out;
    for (auto const& p : read_script(text).problems) out.push_back(std::to_string(p.line) + ": " + p.reason);
    return out;
}

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("renames, moves and drops are read with their lines") {
    auto const text = "CREATE TABLE users (id int, email text);\n"
                      "-- a comment; with a semicolon\n"
                      "ALTER TABLE users RENAME COLUMN email TO mail;\n"
                      "ALTER TABLE users RENAME mail TO \"E-Mail\";\n"
                      "ALTER TABLE IF EXISTS ONLY crm.users\n  RENAME TO clients;\n"
                      "ALTER TABLE clients SET SCHEMA crm; ALTER VIEW v RENAME TO w;\n"
                      "ALTER TABLE clients DROP COLUMN a, ADD COLUMN b int, DROP IF EXISTS c;\n"
                      "ALTER TYPE mood RENAME VALUE 'sad' TO 'low';\n"
                      "ALTER TYPE mood RENAME TO feeling; ALTER FUNCTION f(int) RENAME TO g; ALTER SEQUENCE s RENAME TO t;\n"
                      "ALTER SCHEMA crm RENAME TO sales; DROP TABLE IF EXISTS a, b.c CASCADE; DROP TYPE feeling; SET search_path TO app, public;\n";
    CHECK(actions(text) == texts{"create users@1", "column users.email>mail@3", "column users.mail>E-Mail@4", "rename crm.users>clients@5", "move clients>crm@7",
                                 "rename v>w@7", "remove clients.a@8", "add clients.b@8", "remove clients.c@8", "label mood.sad>low@9", "rename mood>feeling@10",
                                 "rename f>g@10", "rename s>t@10", "rename crm>sales@11", "drop a@11", "drop b.c@11", "drop feeling@11", "path @11"});
    CHECK(problems(text).empty());
}

TEST_CASE("the way back is left out, whatever marks it") {
    for (auto const* text : {
             "-- +goose Up\nALTER TABLE a RENAME TO b;\n-- +goose Down\nALTER TABLE b RENAME TO a;\n",
             "-- migrate:up\nALTER TABLE a RENAME TO b;\n-- migrate:down\nALTER TABLE b RENAME TO a;",
             "-- migrate:up transaction:false\nALTER TABLE a RENAME TO b;\n\n-- migrate:down transaction:false\nALTER TABLE b RENAME TO a;",
             "-- +migrate Up\nALTER TABLE a RENAME TO b;\n-- +migrate Down\nALTER TABLE b RENAME TO a;",
             "--liquibase formatted sql\nALTER TABLE a RENAME TO b;\n--rollback ALTER TABLE b RENAME TO a;",
             "-- x\nALTER TABLE a RENAME TO b;\n--//@UNDO\nALTER TABLE b RENAME TO a;",
             "-- rambler up\r\nALTER TABLE a RENAME TO b;\r\n-- rambler down\r\nALTER TABLE b RENAME TO a;\r\n",
         }) {
        CHECK(actions(text) == texts{"rename a>b@2"});
        CHECK(problems(text).empty());
    }
}

TEST_CASE("goose's statement blocks, dollar quotes and function bodies hide no statement and make none") {
    auto const text = "-- +goose Up\n-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS trigger AS $$\nBEGIN\n  ALTER TABLE x RENAME TO y;\n  RETURN NEW;\nEND;\n$$ LANGUAGE plpgsql;\n"
                      "-- +goose StatementEnd\nALTER TABLE a RENAME TO b;\nCREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;\nALTER TABLE c RENAME TO d;";
    CHECK(actions(text) == texts{"create f@3", "rename a>b@10", "create g@11", "rename c>d@12"});
}

TEST_CASE("a byte order mark, CR LF and transactions do not disturb") {
    CHECK(actions("\xEF\xBB\xBF" "BEGIN;\r\nALTER TABLE a\r\n  RENAME TO b;\r\nCOMMIT;\r\n") == texts{"rename a>b@2"});
    CHECK(problems("\xEF\xBB\xBF" "BEGIN;\r\nSELECT 1;\r\nCOMMIT;\r\n").empty());
}

TEST_CASE("statements that a line of two semicolons separates are told apart") {
    CHECK(actions("ALTER TABLE a RENAME TO b\n--;;\nALTER TABLE c RENAME TO d\n--;;\n") == texts{"rename a>b@1", "rename c>d@3"});
}

TEST_CASE("the data of COPY is no SQL") {
    auto const text = "COPY public.users (id, note) FROM stdin;\n1\tit's; ALTER TABLE x RENAME TO y;\n2\t$$\n\\.\n\nALTER TABLE a RENAME TO b;\n"
                      "COPY t\n FROM STDIN\n WITH (FORMAT csv);\n\"x\n\\.\nALTER TABLE c RENAME TO d;";
    CHECK(actions(text) == texts{"rename a>b@6", "rename c>d@12"});
    CHECK(problems(text).empty());
}

TEST_CASE("psql's words are passed over; what includes another file or connects elsewhere is told") {
    auto const text = "\\set ON_ERROR_STOP on\n\\echo 'it''s\n\\i other.sql\n\\connect shop\nALTER TABLE a RENAME TO b;";
    CHECK(actions(text) == texts{"rename a>b@5"});
    CHECK(problems(text) == texts{"3: psql's \\i", "4: psql's \\connect"});
}

TEST_CASE("what cannot be read is told with its line and without literals") {
    CHECK(problems("SELECT 1;\nDO $$ BEGIN\n  EXECUTE 'ALTER TABLE a RENAME TO b';\nEND $$;") == texts{"2: a DO block that may change names"});
    CHECK(problems("DO $$ BEGIN PERFORM 1; END $$;").empty());
    CHECK(problems("\nALTER TABLE ${schema}.a RENAME TO b;\nALTER TABLE c RENAME TO d;").size() == 1);
    CHECK(actions("\nALTER TABLE ${schema}.a RENAME TO b;\nALTER TABLE c RENAME TO d;") == texts{"rename c>d@3"});
    CHECK(problems("{{ if .x }} ALTER TABLE a RENAME TO b; {{ end }}").size() == 1);
    CHECK(problems("CREATE TABLE a (secret text DEFAULT 'hunter2' BROKEN);") == texts{"1: CREATE TABLE: the grammar of PostgreSQL 15 cannot read the text"});
    CHECK(problems("ALTER TABLE a RENAME TO b;\nINSERT INTO a VALUES ('open") == texts{"2: a quote or a comment is not closed"});
    CHECK(problems("\xFF\xFE" "A") == texts{"1: the file is UTF-16"});
    CHECK(problems("").empty());
}

TEST_CASE("temporary tables are nobody's names") {
    CHECK(actions("CREATE TEMP TABLE a (id int); INSERT INTO a VALUES (1); UPDATE a SET id = 2;").empty());
}
