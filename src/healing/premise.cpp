#include "pgmend/healing/premise.hpp"

#include "pgmend/base/text.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace pgmend::healing {

// PostgreSQL's own look-ups by name, not a search in its catalogs: in a session's first heal planning is what this takes its time for, and nobody has planned anything there yet.
// Operators and types are qualified: the session's search_path may begin with somebody's schema.
std::string_view const premise_sql =
    "SELECT 1 OPERATOR(pg_catalog./) CASE WHEN"
    // $1, $2: what is called so is this relation; or (NULL) nothing, or what is never taken for a relation.
    " NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.oid[])) AS w(n, r)"
    " WHERE pg_catalog.to_regclass(w.n)::pg_catalog.oid IS DISTINCT FROM w.r"
    " AND NOT (w.r IS NULL AND (pg_catalog.pg_identify_object_as_address('pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid,"
    " pg_catalog.to_regclass(w.n)::pg_catalog.oid, 0)).type OPERATOR(pg_catalog.=) ANY ('{index,composite type}'::pg_catalog.text[])))"
    // $3, $4, $5: the relation's column of this name has this number; or (NULL) there is none.
    " AND NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($3::pg_catalog.oid[]), pg_catalog.unnest($4::pg_catalog.name[]),"
    " pg_catalog.unnest($5::pg_catalog.int2[])) AS w(r, n, k)"
    " WHERE (SELECT a.attnum FROM pg_catalog.pg_attribute AS a WHERE a.attrelid OPERATOR(pg_catalog.=) w.r AND a.attname OPERATOR(pg_catalog.=) w.n)"
    " IS DISTINCT FROM w.k)"
    // $6: nor is there such a function of a row, which may be written like a column.
    " AND NOT EXISTS (SELECT FROM pg_catalog.unnest($6::pg_catalog.text[]) AS w(n) WHERE pg_catalog.to_regprocedure(w.n) IS NOT NULL)"
    " THEN 1 ELSE 0 END";

namespace {

/// An array as PostgreSQL reads it.
class array_text {
  public:
    void add(std::string_view name) {
        begin();
        text_ += '"';
        for (char const c : name) {
            if (c == '"' || c == '\\') text_ += '\\';
            text_ += c;
        }
        text_ += '"';
    }
    void add(std::int64_t number) {
        begin();
        text_ += std::to_string(number);
    }
    /// 0: NULL.
    void add_if(std::int64_t number) {
        if (number != 0) return add(number);
        begin();
        text_ += "NULL";
    }
    [[nodiscard]] std::string take() && { return std::move(text_ += '}'); }

  private:
    void begin() {
        if (text_.size() > 1) text_ += ',';
    }
    std::string text_{"{"};
};

std::string quoted(std::string_view name) {
    std::string out{"\""};
    for (char const c : name) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + '"';
}

/// Parameters in the encoding of the session: nothing where that is not known.
std::optional<std::vector<std::string>> in_encoding_of(session_view const& session, std::vector<std::string> parameters) {
    bool const plain = std::all_of(parameters.begin(), parameters.end(), [](std::string const& it) { return base::is_ascii(it); });
    if (!plain && session.client_encoding != "UTF8") return std::nullopt;
    return parameters;
}

/// Not a composite type, which is never taken for a relation.
catalog::relation const* find_relation(catalog::snapshot const& now, std::string_view schema, std::string_view name) {
    auto const* const found = now.find(schema, name);
    return found != nullptr && found->kind != 'c' ? found : nullptr;
}

/// Which relation each name is to find, by schema.
class places {
  public:
    places(catalog::snapshot const& now, session_view const& session, std::set<std::string> schemas) : now_{&now}, session_{&session}, schemas_{std::move(schemas)} {}

    /// Wherever the session may look for it. False: it may find something else than these there.
    [[nodiscard]] bool add(std::string const& name, std::set<catalog::oid> const& one_of) {
        auto const& temporary = session_->temporary_relations;
        if (std::find(temporary.begin(), temporary.end(), name) != temporary.end()) return false;
        std::map<std::pair<std::string, std::string>, catalog::oid> found;
        for (auto const& schema : schemas_) {
            auto const* const relation = find_relation(*now_, schema, name);
            if (relation != nullptr && !one_of.contains(relation->id)) return false;
            found.emplace(std::pair{schema, name}, relation != nullptr ? relation->id : 0);
        }
        found.emplace(std::pair{std::string{"pg_temp"}, name}, 0);
        all_.merge(found);
        return true;
    }
    /// A relation under its name, in its schema.
    void add(catalog::relation const& relation) { all_.insert_or_assign({relation.schema, relation.name}, relation.id); }

    /// $1 and $2.
    [[nodiscard]] std::pair<std::string, std::string> take() && {
        array_text names, relations;
        for (auto const& [place, relation] : all_) {
            names.add(quoted(place.first) + '.' + quoted(place.second));
            relations.add_if(relation);
        }
        return {std::move(names).take(), std::move(relations).take()};
    }

  private:
    catalog::snapshot const* now_;
    session_view const* session_;
    std::set<std::string> schemas_;
    std::map<std::pair<std::string, std::string>, catalog::oid> all_; // by schema and name; 0: none
};

/// Where a session looks for the names of these texts.
std::set<std::string> schemas_of(session_view const& session, std::vector<sql::resolution const*> const& meant, std::vector<std::string> const& original) {
    using kind = sql::reference::kind_type;
    std::set<std::string> schemas{session.search_path.begin(), session.search_path.end()};
    bool const named = std::any_of(meant.begin(), meant.end(), [](auto const* of_one) {
        return std::any_of(of_one->references.begin(), of_one->references.end(), [](auto const& it) { return it.qualified || it.kind == kind::literal || it.kind == kind::column_literal; });
    });
    if (named) schemas.insert(original.begin(), original.end()); // one of them may be a schema's
    return schemas;
}

} // namespace

std::optional<std::vector<std::string>> premise_of(sql::resolution const& meant, std::vector<std::string> const& original, catalog::snapshot const& now,
                                                   session_view const& session) {
    using kind = sql::reference::kind_type;
    std::set<catalog::oid> relations;
    std::set<catalog::oid> moved;   // those that the text does not call by their name
    std::set<std::string> names;    // of relations, in the text
    std::set<std::string> columns;  // that were renamed: in the text
    std::map<std::pair<catalog::oid, std::string>, std::int16_t> numbers; // of columns, by the name that they have, or may not have (0)
    for (auto const& it : meant.references) {
        if (it.kind == kind::function) return std::nullopt; // its rows may have any columns
        if (it.of_value || it.called) return std::nullopt; // whose field it is depends on a type, and a function may be called so
        if (it.relation == 0) continue;
        auto const* relation = now.find(it.relation);
        if (relation == nullptr) return std::nullopt;
        relations.insert(it.relation);
        if (it.kind == kind::relation || it.kind == kind::literal) {
            names.insert(it.name);
            if (relation->name != it.name) moved.insert(it.relation);
        } else if ((it.kind == kind::column || it.kind == kind::column_literal) && it.column > 0) {
            auto const* column = relation->find_column(it.column);
            if (column == nullptr) return std::nullopt;
            if (column->name == it.name) continue;
            columns.insert(it.name);
            numbers.emplace(std::pair{it.relation, column->name}, it.column);
        }
    }
    for (auto const& it : meant.merged) { // the text has their name once, for both
        auto const is_called_so = [&](catalog::oid id, std::int16_t number) {
            auto const* relation = now.find(id);
            auto const* column = relation != nullptr ? relation->find_column(number) : nullptr;
            return id == 0 || (column != nullptr && column->name == it.name);
        };
        if (!is_called_so(it.left_relation, it.left_column) || !is_called_so(it.right_relation, it.right_column)) return std::nullopt;
    }
    for (auto const& it : meant.stars) relations.insert(it.relations.begin(), it.relations.end());
    if (relations.empty()) return std::nullopt;

    auto kept = relations;
    for (auto const id : moved) kept.erase(id);
    places called{now, session, schemas_of(session, {&meant}, original)};
    for (auto const& name : names) {
        if (!called.add(name, kept)) return std::nullopt;
    }
    array_text functions;
    for (auto const id : relations) {
        auto const* relation = now.find(id);
        if (relation == nullptr || !called.add(relation->name, relations)) return std::nullopt;
        called.add(*relation);
        for (auto const& name : columns) {
            if (relation->find_column(std::string_view{name}) != nullptr) return std::nullopt;
            numbers.emplace(std::pair{id, name}, 0);
            if (relation->kind != 'S') functions.add(quoted(name) + '(' + quoted(relation->schema) + '.' + quoted(relation->name) + ')'); // a sequence has no row type
        }
    }
    array_text of, column_names, is;
    for (auto const& [column, number] : numbers) {
        of.add(column.first);
        column_names.add(column.second);
        is.add_if(number);
    }
    auto [places, found] = std::move(called).take();
    return in_encoding_of(session, {std::move(places), std::move(found), std::move(of).take(), std::move(column_names).take(), std::move(is).take(), std::move(functions).take()});
}

std::vector<std::string> meaning_of(std::vector<sql::resolution const*> const& meant, std::vector<std::string> const& original, catalog::snapshot const& now,
                                    session_view const& session) {
    std::set<catalog::oid> all;
    for (auto const* of_one : meant) {
        for (auto const& it : of_one->references) all.insert(it.relation);
        for (auto const& it : of_one->stars) all.insert(it.relations.begin(), it.relations.end());
    }
    places called{now, session, schemas_of(session, meant, original)};
    bool any = false;
    for (auto const id : all) {
        auto const* relation = now.find(id);
        if (relation == nullptr || !called.add(relation->name, all)) continue; // the text tells them apart
        called.add(*relation);
        any = true;
    }
    if (!any) return {};
    std::string const none{"{}"};
    auto [names, relations] = std::move(called).take();
    auto out = in_encoding_of(session, {std::move(names), std::move(relations), none, none, none, none});
    return std::move(out).value_or(std::vector<std::string>{});
}

} // namespace pgmend::healing
