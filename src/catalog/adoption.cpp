#include "pgmend/catalog/adoption.hpp"

#include "pgmend/catalog/delta.hpp"
#include "pgmend/catalog/diff.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace pgmend::catalog {

namespace {

/// Oids and numbers of the kept versions to those of today.
class translation {
  public:
    translation(snapshot const& last, snapshot const& current) {
        for (auto const& t : last.types()) {
            if (auto const* now = current.find_type(t->schema, t->name)) types_[t->id] = now->id;
            for (auto const& label : t->labels) {
                auto const* now = current.find_type(t->schema, t->name);
                if (!now) continue;
                auto const same = std::ranges::find(now->labels, label.label, &enum_label::label);
                if (same != now->labels.end()) labels_[label.id] = same->id;
            }
        }
        for (auto const& r : last.relations()) {
            auto const* now = r->id < first_user_oid ? nullptr : current.find(r->schema, r->name);
            if (!now) continue;
            auto& its = relations_[r->id];
            its.id = now->id;
            for (auto const& c : r->columns) {
                if (auto const* column = now->find_column(c.name)) its.columns[c.number] = column->number;
            }
            by_name(r->constraints, now->constraints, its.constraints);
            by_name(r->unique_indexes, now->unique_indexes, its.indexes);
        }
        for (auto const& f : last.functions()) {
            auto const arguments = mapped(f->arguments);
            for (auto const* now : current.find_functions(f->schema, f->name)) {
                if (arguments && now->arguments == *arguments) functions_[f->id] = now->id;
            }
        }
        for (auto const& s : last.schemas()) {
            if (auto const* now = current.find_schema(s->name)) schemas_[s->id] = now->id;
        }
    }

    [[nodiscard]] contents of(snapshot const& version) const {
        contents out;
        for (auto const& r : version.relations()) {
            if (auto made = relation_of(*r)) out.relations.push_back(std::move(made));
        }
        for (auto const& t : version.types()) {
            if (auto made = type_of(*t)) out.types.push_back(std::move(made));
        }
        for (auto const& f : version.functions()) {
            if (auto made = function_of(*f)) out.functions.push_back(std::move(made));
        }
        for (auto const& s : version.schemas()) {
            auto const found = schemas_.find(s->id);
            if (found != schemas_.end()) out.schemas.push_back(std::make_shared<schema_entry const>(schema_entry{found->second, s->name}));
        }
        return out;
    }

  private:
    using numbers = std::map<std::int16_t, std::int16_t>;
    struct relation_map {
        oid id{0};
        numbers columns;
        std::map<oid, oid> constraints, indexes;
    };

    template <class T>
    static void by_name(std::vector<T> const& before, std::vector<T> const& now, std::map<oid, oid>& out) {
        for (auto const& b : before) {
            auto const same = std::ranges::find(now, b.name, &T::name);
            if (same != now.end()) out[b.id] = same->id;
        }
    }

    /// Nothing: it is not there any more.
    [[nodiscard]] std::optional<oid> mapped(oid type) const {
        if (type < first_user_oid) return type;
        auto const found = types_.find(type);
        return found == types_.end() ? std::nullopt : std::optional{found->second};
    }
    [[nodiscard]] std::optional<std::vector<oid>> mapped(std::vector<oid> const& all) const {
        std::vector<oid> out;
        for (auto const type : all) {
            auto const now = mapped(type);
            if (!now) return std::nullopt;
            out.push_back(*now);
        }
        return out;
    }
    static std::optional<std::vector<std::int16_t>> mapped(std::vector<std::int16_t> const& all, numbers const& by) {
        std::vector<std::int16_t> out;
        for (auto const number : all) {
            auto const found = by.find(number);
            if (number != 0 && found == by.end()) return std::nullopt; // 0: an expression
            out.push_back(number == 0 ? std::int16_t{0} : found->second);
        }
        return out;
    }

    template <class T>
    static void put(std::vector<T> const& before, std::map<oid, oid> const& ids, numbers const& columns, std::vector<T>& out) {
        for (auto one : before) {
            auto const id = ids.find(one.id);
            auto const its = mapped(one.columns, columns);
            if (id == ids.end() || !its) continue;
            one.id = id->second;
            one.columns = *its;
            out.push_back(std::move(one));
        }
        std::ranges::sort(out, {}, &T::id);
    }

    [[nodiscard]] std::shared_ptr<relation const> relation_of(relation const& r) const {
        auto const found = relations_.find(r.id);
        if (found == relations_.end()) return nullptr;
        auto const& its = found->second;
        relation out;
        out.id = its.id;
        out.schema = r.schema;
        out.name = r.name;
        out.kind = r.kind;
        for (auto c : r.columns) {
            auto const number = its.columns.find(c.number);
            auto const type = mapped(c.type);
            if (number == its.columns.end() || !type) continue;
            c.number = number->second;
            c.type = *type;
            out.columns.push_back(std::move(c));
        }
        std::ranges::sort(out.columns, {}, &column::number);
        put(r.constraints, its.constraints, its.columns, out.constraints);
        put(r.unique_indexes, its.indexes, its.columns, out.unique_indexes);
        return std::make_shared<relation const>(std::move(out));
    }

    [[nodiscard]] std::shared_ptr<type_entry const> type_of(type_entry const& t) const {
        if (t.id < first_user_oid) return nullptr; // those of today's server are put in
        auto const id = mapped(t.id);
        if (!id) return nullptr;
        auto out = t;
        out.id = *id;
        for (auto* other : {&out.element, &out.array, &out.base}) *other = mapped(*other).value_or(0);
        auto const row = relations_.find(t.relation);
        out.relation = row == relations_.end() ? 0 : row->second.id;
        std::erase_if(out.labels, [&](enum_label const& label) { return !labels_.contains(label.id); });
        for (auto& label : out.labels) label.id = labels_.at(label.id);
        return std::make_shared<type_entry const>(std::move(out));
    }

    [[nodiscard]] std::shared_ptr<function_entry const> function_of(function_entry const& f) const {
        auto const id = functions_.find(f.id);
        auto const arguments = mapped(f.arguments);
        auto const result = mapped(f.result);
        auto const variadic = mapped(f.variadic);
        if (id == functions_.end() || !arguments || !result || !variadic) return nullptr;
        auto out = f;
        out.id = id->second;
        out.arguments = *arguments;
        out.result = *result;
        out.variadic = *variadic;
        return std::make_shared<function_entry const>(std::move(out));
    }

    std::map<oid, relation_map> relations_;
    std::map<oid, oid> types_, labels_, functions_, schemas_;
};

/// pg_upgrade keeps the oids of pg_class and pg_type, not those of constraints; those are the same by name where the fingerprints are.
bool same_object(relation const& a, relation const& b) {
    return a.id == b.id && a.schema == b.schema && a.name == b.name && a.kind == b.kind && a.columns == b.columns && a.unique_indexes == b.unique_indexes;
}
bool same_object(type_entry const& a, type_entry const& b) { return a == b; }

template <class T>
bool same_of_users(std::vector<std::shared_ptr<T const>> const& a, std::vector<std::shared_ptr<T const>> const& b) {
    auto const users = [](auto const& all) { return std::ranges::lower_bound(all, first_user_oid, {}, [](auto const& o) { return o->id; }); };
    return std::equal(users(a), a.end(), users(b), b.end(), [](auto const& x, auto const& y) { return same_object(*x, *y); });
}

} // namespace

likeness compare_catalogs(snapshot const& kept, snapshot const& current) {
    if (fingerprint(kept) != fingerprint(current)) return likeness::different;
    bool const same = same_of_users(kept.relations(), current.relations()) && same_of_users(kept.types(), current.types());
    return same ? likeness::same_objects : likeness::same_names;
}

std::vector<history::kept_version> adopted(std::vector<history::kept_version> const& kept, snapshot const& current) {
    std::vector<history::kept_version> out;
    if (kept.empty()) return out;
    translation const by{*kept.back().schema, current};
    for (std::size_t i = 0; i + 1 < kept.size(); ++i) {
        auto const& k = kept[i];
        snapshot const* const before = out.empty() ? nullptr : out.back().schema.get();
        auto all = with_system_objects(by.of(*k.schema), current);
        out.push_back({std::make_shared<snapshot const>(current.identity(), std::move(all), before), k.generation, k.at});
    }
    return out;
}

} // namespace pgmend::catalog
