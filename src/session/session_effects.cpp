// What a text leaves behind in its session, by its words.
#include "pgmend/session/session_memory.hpp"

#include "pgmend/base/text.hpp"
#include "pgmend/sql/characters.hpp"
#include "pgmend/sql/facts.hpp"
#include "pgmend/sql/lexer.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "session/statement_words.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <unordered_set>

namespace pgmend::session {
namespace {

using kind = sql::statement_kind;
using effect = session_effect::kind_type;

/// Functions of PostgreSQL's (and of its dblink) that leave something behind, and the schema of temporary objects.
sql::name_set const& telling_names() {
    static sql::name_set const names{{"set_config", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared", "setseed",
                                      "dblink_connect", "dblink_connect_u", "dblink_open", "pg_replication_origin_session_setup", "pg_create_logical_replication_slot",
                                      "pg_create_physical_replication_slot", "pg_start_backup", "pg_backup_start", "pg_temp"}};
    return names;
}

sql::name_set const& names_of_sequences() {
    static sql::name_set const names{{"currval", "lastval"}};
    return names;
}

/// Words that come before a bracket and call nothing that a user has written: key words, types, and functions of PostgreSQL's own. One that
/// is missing only means that a server is asked about more functions.
std::unordered_set<std::string_view> const& own_words() {
    static std::unordered_set<std::string_view> const words{
        "abs", "acos", "age", "all", "and", "any", "array", "array_agg", "array_append", "array_cat", "array_length", "array_position", "array_remove", "array_replace",
        "array_to_json", "array_to_string", "array_upper", "as", "asc", "ascii", "asin", "atan", "avg", "between", "bigint", "bit", "bit_and", "bit_length", "bit_or", "bool_and",
        "bool_or", "btrim", "by", "bytea", "cardinality", "case", "cast", "cbrt", "ceil", "ceiling", "char", "char_length", "character", "chr", "clock_timestamp", "coalesce",
        "concat", "concat_ws", "conflict", "convert_from", "convert_to", "corr", "cos", "count", "cross", "cube", "cume_dist", "current_database", "current_date", "current_schema",
        "current_schemas", "current_setting", "current_time", "current_timestamp", "current_user", "date", "date_bin", "date_part", "date_trunc", "decimal", "decode",
        "degrees", "dense_rank", "desc", "distinct", "div", "else", "encode", "every", "except", "exists", "exp", "explain", "extract", "filter", "first_value", "float", "floor",
        "for", "format", "format_type", "from", "full", "gcd", "gen_random_uuid", "generate_series", "generate_subscripts", "get_byte", "greatest", "group", "grouping", "having",
        "ilike", "in", "initcap", "inner", "int", "integer", "intersect", "interval", "into", "is", "isfinite", "isnull", "join", "json_agg", "json_array_elements",
        "json_array_length", "json_build_array", "json_build_object", "json_each", "json_each_text", "json_extract_path", "json_object", "json_object_agg",
        "json_populate_record", "json_populate_recordset", "json_strip_nulls", "json_to_record", "json_to_recordset", "jsonb_agg", "jsonb_array_elements",
        "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_array", "jsonb_build_object", "jsonb_each", "jsonb_each_text", "jsonb_extract_path",
        "jsonb_extract_path_text", "jsonb_insert", "jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_query", "jsonb_pretty", "jsonb_set",
        "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset", "jsonb_typeof", "justify_days", "justify_hours", "justify_interval", "lag", "last_value", "lateral",
        "lcm", "lead", "least", "left", "length", "like", "limit", "ln", "localtime", "localtimestamp", "log", "lower", "lpad", "ltrim", "make_date", "make_interval",
        "make_time", "make_timestamp", "make_timestamptz", "materialized", "max", "md5", "min", "mod", "mode", "natural", "nextval", "not", "now", "nth_value", "ntile", "nullif",
        "num_nulls", "numeric", "obj_description", "octet_length", "offset", "on", "only", "or", "order", "ordinality", "outer", "over", "overlay", "partition", "percent_rank",
        "percentile_cont", "percentile_disc", "pg_advisory_unlock", "pg_advisory_unlock_all", "pg_advisory_xact_lock", "pg_backend_pid", "pg_column_size",
        "pg_database_size", "pg_get_constraintdef", "pg_get_expr", "pg_get_indexdef", "pg_get_serial_sequence", "pg_get_userbyid", "pg_is_in_recovery", "pg_notify",
        "pg_relation_size", "pg_size_pretty", "pg_sleep", "pg_table_is_visible", "pg_table_size", "pg_total_relation_size", "pg_try_advisory_xact_lock", "pg_typeof",
        "phraseto_tsquery", "pi", "plainto_tsquery", "position", "power", "precision", "quote_ident", "quote_literal", "quote_nullable", "radians", "random", "range", "rank",
        "recursive", "regexp_match", "regexp_matches", "regexp_replace", "regexp_split_to_array", "regexp_split_to_table", "repeat", "replace", "returning", "reverse", "right",
        "rollup", "round", "row", "row_number", "row_to_json", "rows", "rpad", "rtrim", "scale", "select", "session_user", "set", "setval", "setweight", "sets", "sign", "similar",
        "sin", "smallint", "some", "split_part", "sqrt", "starts_with", "statement_timestamp", "stddev", "stddev_pop", "stddev_samp", "string_agg", "string_to_array", "strpos",
        "substr", "substring", "sum", "table", "tan", "text", "then", "time", "timeofday", "timestamp", "timestamptz", "timezone", "to_char", "to_date", "to_hex", "to_json",
        "to_jsonb", "to_number", "to_regclass", "to_timestamp", "to_tsquery", "to_tsvector", "translate", "treat", "trim", "trim_array", "trunc", "ts_headline", "ts_rank",
        "ts_rank_cd", "txid_current", "union", "unnest", "upper", "using", "values", "var_pop", "var_samp", "varchar", "variance", "version", "websearch_to_tsquery", "when",
        "where", "width_bucket", "window", "with", "within", "without", "xmlelement", "zone"};
    return words;
}

using sql::characters::is_digit;
using sql::characters::is_word_part;
using sql::characters::lower;

/// The word that ends before `end`, white space left out, and where it begins.
std::string_view word_before(std::string_view text, std::size_t& end) {
    while (end > 0 && sql::characters::is_space(text[end - 1])) --end;
    auto const last = end;
    while (end > 0 && is_word_part(text[end - 1])) --end;
    return text.substr(end, last - end);
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> lower_case) {
    return std::any_of(lower_case.begin(), lower_case.end(), [&](auto const& it) { return std::equal(word.begin(), word.end(), it.begin(), it.end(), [](char a, char b) { return lower(a) == b; }); });
}

/// Looked for in literals and comments, too: one too many does no harm.
bool calls_others(std::string_view sql) {
    for (auto at = sql.find('('); at != std::string_view::npos; at = sql.find('(', at + 1)) {
        auto begin = at;
        while (begin > 0 && sql::characters::is_space(sql[begin - 1])) --begin;
        if (begin == 0) continue;
        char const before = sql[begin - 1];
        auto const line = sql.substr(0, begin).rfind('\n') + 1; // 0 where there is none
        bool const commented = before == '/' || (begin < at && sql.substr(line, begin - line).find("--") != std::string_view::npos);
        if (commented) return true; // between a name and its bracket, perhaps
        if (before != '"' && !is_word_part(before)) continue;
        if (before != '"') {
            auto const word = word_before(sql, begin);
            if (is_digit(word.front())) continue;
            bool const qualified = begin > 0 && sql[begin - 1] == '.';
            if (!qualified && word.size() < 40 && own_words().contains(base::in_small_letters(word))) continue;
        }
        // INSERT INTO t (…), WITH t (…), … AS t (…)
        while (begin > 0 && (sql[begin - 1] == '.' || is_word_part(sql[begin - 1]) || sql[begin - 1] == '"')) --begin;
        auto const ahead = word_before(sql, begin);
        if (is_one_of(ahead, {"into", "as", "with", "recursive"})) continue;
        return true;
    }
    return false;
}

void note_setting(statement_words const& words, text_effects& out) {
    bool const resets = words.is(0, "reset");
    std::size_t i = 1;
    if (!resets && words.is(1, "session") && !words.is(2, "authorization")) ++i;
    std::string name;
    if (words.is(i, "session") || words.is(i, "authorization") || words.is(i, "session_authorization")) {
        out.lost = "SET SESSION AUTHORIZATION";
        return;
    }
    if (resets && words.is(1, "all") && words.tokens.size() == 2) {
        out.carried.push_back({effect::reset_all, {}, {}});
        return;
    }
    if (words.is(i, "time") && words.is(i + 1, "zone")) name = "timezone";
    else if (words.is(i, "names")) name = "client_encoding";
    else if (words.is(i, "schema")) name = "search_path";
    else if (words.is(i, "xml")) name = "xmloption";
    else {
        name = base::in_small_letters(words.name(i)); // settings are found in any case
        for (; i + 2 < words.tokens.size() && words.raw(i + 1) == "."; i += 2) name += "." + base::in_small_letters(words.name(i + 2));
    }
    if (name == "seed") out.lost = "SET SEED";
    else if (name == "session_authorization") out.lost = "SET SESSION AUTHORIZATION";
    else if (name.empty()) out.lost = "a SET that was not understood";
    else if (!base::is_ascii(words.text)) out.lost = "a setting that is not written in ASCII";
    else if (!name.starts_with("transaction_")) out.carried.push_back({effect::setting, std::move(name), std::string{words.text}});
}

void note_deallocate(statement_words const& words, text_effects& out) {
    std::size_t const i = words.is(1, "prepare") && words.tokens.size() > 2 ? 2 : 1;
    if (words.is(i, "all")) {
        out.carried.push_back({effect::deallocate_all, {}, {}});
    } else if (auto name = words.name(i); !name.empty()) {
        out.carried.push_back({effect::deallocate, std::move(name), {}});
    } else {
        out.lost = "a DEALLOCATE that was not understood";
    }
}

bool is_temporary(statement_words const& words) { return words.has("temp") || words.has("temporary"); }

void note_statement(sql::statement_facts const& facts, std::string_view sql, text_effects& out) {
    auto const text = sql.substr(facts.text.begin, facts.text.end - facts.text.begin);
    switch (facts.kind) {
    case kind::set:
    case kind::reset: return note_setting(statement_words{text}, out);
    case kind::set_transaction: {
        statement_words const words{text};
        if (!words.is(1, "session")) return; // SET TRANSACTION, SET CONSTRAINTS: of the transaction only
        out.carried.push_back({effect::setting, base::in_small_letters(text), std::string{text}});
        if (!base::is_ascii(text)) out.lost = "a setting that is not written in ASCII";
        return;
    }
    case kind::discard:
        if (statement_words{text}.is(1, "all")) out.carried.push_back({effect::discard_all, {}, {}});
        return; // PLANS, SEQUENCES, TEMP
    case kind::deallocate: return note_deallocate(statement_words{text}, out);
    case kind::prepare: out.lost = "PREPARE"; return;
    case kind::declare:
        if (statement_words{text}.has("hold")) out.lost = "a cursor WITH HOLD";
        return;
    case kind::listen_notify:
        if (statement_words{text}.is(0, "listen")) out.lost = "LISTEN";
        return;
    case kind::call_or_do: out.lost = "CALL or DO"; return;
    case kind::ddl:
        if (is_temporary(statement_words{text})) out.lost = "a temporary object";
        return;
    case kind::other:
        out.lost = statement_words{text}.is(0, "load") ? "LOAD" : "a statement that pgmend does not know";
        out.for_good = true;
        return;
    case kind::select:
    case kind::with:
    case kind::explain:
        if (facts.changes_session_meaning && is_temporary(statement_words{text})) out.lost = "a temporary object";
        return;
    default: return;
    }
}

} // namespace

text_effects effects_of(std::string_view sql) {
    text_effects out;
    out.calls = calls_others(sql);
    if (sql::plain_statement(sql) == kind::empty) {
        auto const facts = sql::classify(sql);
        for (auto const& it : facts.statements) {
            text_effects one;
            note_statement(it, sql, one);
            std::move(one.carried.begin(), one.carried.end(), std::back_inserter(out.carried));
            if (out.lost.empty() || one.for_good) out.lost = one.lost;
            out.for_good = out.for_good || one.for_good;
        }
        if (!facts.complete || facts.depends_on_backslashes) out.lost = "a text that pgmend could not read for certain";
    }
    if (out.lost.empty() && sql::mentions(sql, telling_names())) out.lost = "a function that changes its session, or a temporary object";
    return out;
}

text_effects const& known_effects::of(std::string_view sql) {
    if (sql.size() > most_text_bytes) {
        other_ = effects_of(sql);
        return other_;
    }
    if (texts_.empty()) texts_.resize(most_texts);
    auto& it = texts_[std::hash<std::string_view>{}(sql) & (most_texts - 1)];
    if (it.full && it.text == sql) return it.effects;
    it.effects = effects_of(sql);
    it.text = sql;
    it.full = true;
    return it.effects;
}

std::string_view needs_old_server(base::byte_view request) {
    bool prepared = false;
    while (request.size() >= wire::header_bytes) {
        auto const header = wire::read_header(request);
        if (!header.length_is_valid()) return {}; // the server will say so
        auto const frame = request.substr(0, std::min<std::size_t>(request.size(), header.total_bytes()));
        wire::cursor in{frame.substr(wire::header_bytes)};
        constexpr std::string_view unnamed = "its request uses a statement without a name that an earlier one has prepared";
        constexpr std::string_view sequence = "its request asks for the last value of a sequence";
        if (header.type == 'Q' && sql::mentions(in.text(), names_of_sequences())) return sequence;
        if (header.type == 'P') {
            prepared = in.text().empty() || prepared;
            if (sql::mentions(in.text(), names_of_sequences())) return sequence;
        }
        if (header.type == 'B') {
            (void)in.text();
            auto const statement = in.text();
            if (in.ok() && statement.empty() && !prepared) return unnamed;
        }
        if (header.type == 'D' && in.byte() == 'S') {
            auto const statement = in.text();
            if (in.ok() && statement.empty() && !prepared) return unnamed;
        }
        if (header.type == 'S' || header.type == 'Q') break;
        request.remove_prefix(frame.size());
    }
    return {};
}

} // namespace pgmend::session
