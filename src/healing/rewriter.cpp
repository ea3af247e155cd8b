#include "healing/rewriter.hpp"

#include "healing/splice.hpp"
#include "healing/version_source.hpp"
#include "pgmend/sql/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::healing {
namespace {

std::string full_name(catalog::relation const& relation) { return fmt::format("{}.{}", relation.schema, relation.name); }

} // namespace

void rewriter::refuse(refusal_kind kind, std::string reason) {
    if (!refusal_) refusal_ = refusal{std::move(reason), kind, {}};
}

void rewriter::add(std::uint32_t begin, std::uint32_t end, std::string text) { edits_.push_back({begin, end, std::move(text)}); }

std::optional<refusal> rewriter::run(qualification const& qualify) {
    using kind = sql::reference::kind_type;
    for (auto const& it : meaning_.merged) merged(it);
    for (auto const& it : meaning_.references) {
        if (it.kind != kind::whole_row || !it.value_only || meaning_.writes) continue;
        auto const* was = before_(it.relation, 0, {});
        auto const* is = now_.find(it.relation);
        if (was != nullptr && is != nullptr && !same_columns(*was, *is)) replaced_.insert(it.item);
    }
    // Relations first: columns written with the name of a relation follow what happens to it.
    for (auto const& it : meaning_.references) {
        if (it.kind == kind::relation || it.kind == kind::literal) relation_reference(it, qualify);
        if (refusal_) return refusal_;
    }
    for (auto const item : replaced_) {
        bool const relation = std::any_of(meaning_.references.begin(), meaning_.references.end(),
                                          [&](sql::reference const& it) { return it.kind == kind::relation && it.item == item; });
        if (!relation) refuse(refusal_kind::not_understood, "USING or NATURAL names a column that was renamed in the rows of a function");
        if (refusal_) return refusal_;
    }
    for (std::size_t i = 0; i < meaning_.references.size(); ++i) {
        auto const& it = meaning_.references[i];
        if (replaced_.contains(it.item) && it.kind != kind::relation) {
            if (it.parts.size() > 2 || (it.kind == kind::whole_row && !it.value_only) || it.column < 0) {
                refuse(refusal_kind::changed_shape, fmt::format("a subquery with the old names would stand for \"{}\", and more than its columns is used", it.name));
            }
        } else if (it.kind == kind::column) {
            column_reference(it, i, qualify);
        } else if (it.kind == kind::column_literal) {
            column_literal(it);
        } else if (it.kind == kind::whole_row) {
            auto const* was = before_(it.relation, 0, {});
            auto const* is = now_.find(it.relation);
            if (was == nullptr || is == nullptr || (!it.argument && !same_columns(*was, *is))) {
                refuse(refusal_kind::changed_shape, fmt::format("\"{}\" is used as a whole row, and its columns changed", it.name));
                return refusal_;
            }
            if (!it.argument) {
                for (auto const& column : was->columns) (void)same_column(it.relation, column.number, column.name);
            }
            prefix(it, it.parts.size());
        } else if (it.kind == kind::local) {
            if (it.relation != 0 && it.column > 0) (void)same_column(it.relation, it.column, it.name);
            if (it.output != 0 && qualify.positions.contains(it.name)) {
                add(it.parts.front().begin, it.parts.front().end, std::to_string(it.output));
                changed_[it.parts.front().begin] = true;
            }
            prefix(it, it.name == "*" ? it.parts.size() : it.parts.size() - 1);
        } else if (it.kind != kind::relation && it.kind != kind::literal) {
            object_reference(it, i);
        }
        if (refusal_) return refusal_;
    }
    for (auto const& it : meaning_.stars) star(it);
    for (auto const& it : meaning_.positional_targets) positional(it);
    labels();
    index_name();
    if (!refusal_ && !put_in_order(edits_)) refuse(refusal_kind::not_understood, "two edits overlap");
    return refusal_;
}

/// The relation as it is now, where it still is what it was.
catalog::relation const* rewriter::unchanged_kind(catalog::oid id, std::string_view name) {
    auto const* was = before_(id, 0, name);
    if (was == nullptr) was = before_(id, 0, {});
    auto const* is = now_.find(id);
    if (is == nullptr) {
        bool const anew = was != nullptr && find_relation(now_, session_, was->schema, was->name) != nullptr;
        refuse(refusal_kind::dropped, fmt::format("relation \"{}\" was dropped{}", was != nullptr ? full_name(*was) : std::string{name},
                                                  anew ? ", and another one has been made under its name: which of its columns is which no history tells" : ""));
    } else if (was == nullptr || was->kind != is->kind) {
        refuse(refusal_kind::changed_kind, fmt::format("relation \"{}\" became a relation of another kind", full_name(*is)));
    } else {
        return is;
    }
    return nullptr;
}

catalog::column const* rewriter::same_column(catalog::oid relation, std::int16_t number, std::string_view name) {
    auto const* was = before_(relation, number, name);
    auto const* old_column = was != nullptr ? was->find_column(number) : nullptr;
    auto const* is = now_.find(relation);
    auto const* column = is != nullptr ? is->find_column(number) : nullptr;
    if (old_column == nullptr) {
        refuse(refusal_kind::not_understood, fmt::format("what column \"{}\" was is not known", name));
        return nullptr;
    }
    if (column == nullptr) {
        refuse(refusal_kind::dropped, fmt::format("column \"{}.{}\" was dropped", full_name(*was), old_column->name));
        return nullptr;
    }
    // A column that was put in the place of this one (add, copy, swap the names) is what new writes are meant for.
    if (auto const* other = is->find_column(std::string_view{old_column->name}); other != nullptr && other->number != number && !reused_) {
        refuse(refusal_kind::name_reused, fmt::format("the name \"{}.{}\" is now another column's", full_name(*was), old_column->name));
        return nullptr;
    }
    bool const allowed = retyped_ != nullptr && retyped_->contains({relation, number});
    if (!allowed && (column->type != old_column->type || column->type_modifier != old_column->type_modifier)) {
        refuse(refusal_kind::changed_type, fmt::format("column \"{}.{}\" changed its type", full_name(*was), old_column->name));
        return nullptr;
    }
    return column;
}

rewriter::new_name rewriter::name_now(sql::reference const& it, catalog::relation const& relation, bool qualify) const {
    auto const found = [&](std::string_view schema) {
        auto const* hit = find_relation(now_, session_, schema, relation.name);
        return hit != nullptr && hit->id == relation.id;
    };
    auto const& temporary = session_.temporary_relations;
    bool const hidden = std::find(temporary.begin(), temporary.end(), relation.name) != temporary.end();
    new_name out;
    bool const renamed = relation.name != it.name;
    if (!it.qualified && !hidden && found({}) && !(qualify && renamed)) {
        out.text = sql::quoted_name(relation.name);
        out.changed = renamed;
    } else {
        out.text = fmt::format("{}.{}", sql::quoted_name(relation.schema), sql::quoted_name(relation.name));
        auto const* was = before_(relation.id, 0, it.name);
        out.changed = !it.qualified || was == nullptr || was->schema != relation.schema || renamed;
    }
    return out;
}

void rewriter::note_renamed(catalog::oid relation, std::string_view name, catalog::column const& column) {
    auto const* was = before_(relation, column.number, name);
    renaming made{renaming::kind_type::column, fmt::format("{}.{}", full_name(*was), name),
                  fmt::format("{}.{}", full_name(*now_.find(relation)), column.name)};
    if (std::find(renamings_.begin(), renamings_.end(), made) != renamings_.end()) return;
    patterns_.push_back(fmt::format("column {} -> {}", made.before, column.name));
    renamings_.push_back(std::move(made));
}

void rewriter::relation_reference(sql::reference const& it, qualification const& qualify) {
    auto const* relation = unchanged_kind(it.relation, it.name);
    if (relation == nullptr) return;
    // Likewise a relation in the place of this one: new, copied to and renamed, or found further down the path.
    auto const* was_called = before_(it.relation, 0, it.name);
    auto const written_schema = it.qualified && was_called != nullptr ? std::string_view{was_called->schema} : std::string_view{};
    auto const* other = find_relation(now_, session_, written_schema, it.name);
    if (other != nullptr && other->id != it.relation && !reused_) {
        return refuse(refusal_kind::name_reused, fmt::format("the name \"{}\" now means another relation, \"{}\"", it.name, full_name(*other)));
    }
    auto name = name_now(it, *relation, qualify.renamed);
    changed_[it.parts.front().begin] = name.changed;
    if (name.changed) {
        auto const* was = before_(it.relation, 0, it.name);
        renaming made{renaming::kind_type::relation, full_name(was != nullptr ? *was : *relation), full_name(*relation)};
        if (made.before != made.after && std::find(renamings_.begin(), renamings_.end(), made) == renamings_.end()) {
            patterns_.push_back(fmt::format("relation {} -> {}", made.before, made.after));
            renamings_.push_back(std::move(made));
        }
        if (it.kind == sql::reference::kind_type::literal) {
            auto literal = sql::quoted_literal(name.text);
            if (!literal) return refuse(refusal_kind::not_understood, "a relation's new name cannot be written in a literal");
            return add(it.parts.front().begin, it.parts.front().end, std::move(*literal));
        }
        // A database in front stays: it can only be the session's own.
        auto const first = it.parts.size() == 3 ? it.parts[1].begin : it.parts.front().begin;
        add(first, it.parts.back().end, name.text);
        if (it.takes_alias && relation->name != it.name && !replaced_.contains(it.item)) {
            add(it.alias_at, it.alias_at, " AS " + sql::quoted_name(it.name));
            name.alias = true;
            name.text = sql::quoted_name(it.name);
        }
    }
    if (it.item != 0) items_[it.item] = std::move(name);
    if (replaced_.contains(it.item)) replace(it);
}

/// Whether the statement names this column of what stands in FROM there, or means it by a `*` or a whole row.
bool rewriter::uses(sql::reference const& from, std::int16_t column) const {
    using kind = sql::reference::kind_type;
    auto const named = [&](sql::reference const& it) {
        return it.item == from.item && (it.column == column || it.kind == kind::whole_row) && it.kind != kind::relation;
    };
    auto const merged = [&](sql::merged_columns const& it) {
        return (it.left_relation == from.relation && it.left_column == column) || (it.right_relation == from.relation && it.right_column == column);
    };
    auto const starred = [&](sql::star const& it) {
        return std::any_of(it.columns.begin(), it.columns.end(), [&](auto const& c) { return c.relation == from.relation && c.column == column; });
    };
    return std::any_of(meaning_.references.begin(), meaning_.references.end(), named) || std::any_of(meaning_.merged.begin(), meaning_.merged.end(), merged) ||
           std::any_of(meaning_.stars.begin(), meaning_.stars.end(), starred);
}

/// `(SELECT id AS id, new AS old FROM relation) AS relation`: everything else goes on with the old names. By name, so
/// that it fails where the relation changes once more.
void rewriter::replace(sql::reference const& it) {
    auto const* was = before_(it.relation, 0, {});
    if (was == nullptr || !it.replaceable || meaning_.writes) {
        return refuse(refusal_kind::not_understood, fmt::format("a subquery with the old names cannot stand for \"{}\" here", it.name));
    }
    auto const* is = now_.find(it.relation);
    std::string list;
    for (auto const& old : was->columns) {
        auto const* there = is != nullptr ? is->find_column(old.number) : nullptr;
        bool const changed = there == nullptr || there->type != old.type || there->type_modifier != old.type_modifier;
        if (changed && !uses(it, old.number)) continue; // what became of it does not matter
        auto const* column = same_column(it.relation, old.number, old.name);
        if (column == nullptr) return;
        if (column->name != old.name) note_renamed(it.relation, old.name, *column);
        if (!list.empty()) list += ", ";
        list += fmt::format("{} AS {}", sql::quoted_name(column->name), sql::quoted_name(old.name));
    }
    add(it.parts.front().begin, it.parts.front().begin, fmt::format("(SELECT {} FROM ", list));
    add(it.parts.back().end, it.parts.back().end, it.aliased ? ")" : fmt::format(") AS {}", sql::quoted_name(it.name)));
    items_.erase(it.item);
    changed_[it.parts.front().begin] = true;
}

/// `schema.relation` in front of a column or of `*`.
void rewriter::prefix(sql::reference const& it, std::size_t length) {
    if (length < 2) return;
    auto const item = items_.find(it.item);
    if (item == items_.end() || !item->second.changed) return;
    bool const database_stays = length == 3 && !item->second.alias;
    add(it.parts[database_stays ? 1 : 0].begin, it.parts[length - 1].end, item->second.text);
    changed_[it.parts.front().begin] = true;
}

void rewriter::column_reference(sql::reference const& it, std::size_t index, qualification const& qualify) {
    changed_.try_emplace(it.parts.front().begin, false);
    prefix(it, it.parts.size() - 1);
    if (it.column < 0) return; // a system column
    auto const* column = same_column(it.relation, it.column, it.name);
    if (column == nullptr) return;
    bool const bare = it.parts.size() == 1 && !it.qualifier.empty();
    if (column->name == it.name) { // a column of the same name came up elsewhere
        if (!bare || !qualify.names.contains(column->name)) return;
        auto pattern = fmt::format("ambiguous column {}.{}", full_name(*now_.find(it.relation)), column->name);
        if (std::find(patterns_.begin(), patterns_.end(), pattern) == patterns_.end()) patterns_.push_back(std::move(pattern));
        add(it.parts.front().begin, it.parts.front().begin, sql::quoted_name(it.qualifier) + ".");
        changed_[it.parts.front().begin] = true;
        return;
    }
    note_renamed(it.relation, it.name, *column);
    auto text = sql::quoted_name(column->name);
    if (bare && (qualify.renamed || qualify.names.contains(column->name))) {
        text = fmt::format("{}.{}", sql::quoted_name(it.qualifier), text);
    }
    add(it.parts.back().begin, it.parts.back().end, std::move(text));
    renamed_[index] = column->name;
    changed_[it.parts.front().begin] = true;
}

void rewriter::column_literal(sql::reference const& it) {
    auto const* column = same_column(it.relation, it.column, it.name);
    if (column == nullptr || column->name == it.name) return;
    auto literal = sql::quoted_literal(column->name);
    if (!literal) return refuse(refusal_kind::not_understood, "a column's new name cannot be written in a literal");
    note_renamed(it.relation, it.name, *column);
    add(it.parts.front().begin, it.parts.front().end, std::move(*literal));
    changed_[it.parts.front().begin] = true;
}

void rewriter::labels() {
    for (auto const& it : meaning_.labels) {
        auto const renamed = renamed_.find(it.reference);
        if (renamed == renamed_.end() || renamed->second == it.label) continue;
        if (it.at == 0) return refuse(refusal_kind::not_understood, "the end of an output column was not found");
        add(it.at, it.at, " AS " + sql::quoted_name(it.label));
    }
}

/// An index without a name is called after what has another name now: it gets the name that it would have got.
void rewriter::index_name() {
    if (!meaning_.index_name) return;
    auto const& made = *meaning_.index_name;
    bool const other = std::any_of(made.references.begin(), made.references.end(), [&](std::size_t index) {
        auto const& it = meaning_.references[index];
        if (it.kind != sql::reference::kind_type::relation) return renamed_.contains(index);
        auto const* relation = now_.find(it.relation);
        return relation != nullptr && relation->name != it.name;
    });
    if (other) add(made.at, made.at, sql::quoted_name(made.name) + " ");
}

/// A star stays as long as it stands for the same columns; else they are written out.
void rewriter::star(sql::star const& it) {
    bool same = it.certain;
    for (auto const id : it.relations) {
        bool const replaced = std::any_of(meaning_.references.begin(), meaning_.references.end(), [&](sql::reference const& made) {
            return made.relation == id && replaced_.contains(made.item) && made.kind == sql::reference::kind_type::relation;
        });
        if (replaced) continue; // what is found to differ is refused in the end
        auto const* was = before_(id, 0, {});
        auto const* is = now_.find(id);
        if (was == nullptr || is == nullptr || !same_columns(*was, *is)) same = false;
    }
    for (auto const& column : it.columns) { // the answer's types must not change either
        if (column.relation != 0 && same_column(column.relation, column.column, column.label) == nullptr) return;
    }
    if (same) return;
    if (!it.certain) return refuse(refusal_kind::changed_shape, "a * covers a relation whose columns changed, and no single version fits the statement");
    std::string list;
    for (auto const& column : it.columns) {
        if (column.qualifier.empty()) return refuse(refusal_kind::changed_shape, "a * covers columns that cannot be written out (a join with USING)");
        std::string_view name = column.label;
        if (column.relation != 0) {
            auto const* live = same_column(column.relation, column.column, column.label);
            if (live->name != column.label) note_renamed(column.relation, column.label, *live);
            name = live->name;
        }
        if (!list.empty()) list += ", ";
        list += fmt::format("{}.{}", sql::quoted_name(column.qualifier), sql::quoted_name(name));
        if (name != column.label && it.labels_matter) list += " AS " + sql::quoted_name(column.label);
    }
    if (list.empty()) return refuse(refusal_kind::changed_shape, "a * covers a relation that had no columns");
    // `schema.relation.*` had its prefix edited already: the list replaces all of it.
    std::erase_if(edits_, [&](edit const& e) { return e.begin >= it.text.begin && e.end <= it.text.end; });
    add(it.text.begin, it.text.end, std::move(list));
}

void rewriter::positional(sql::positional_target const& it) {
    auto const* is = now_.find(it.relation);
    auto const* was = before_(it.relation, 0, {});
    if (is == nullptr || was == nullptr) return refuse(refusal_kind::not_understood, "the columns of an INSERT without a list are not known");
    bool same = it.every_column ? is->columns.size() == it.columns.size() : is->columns.size() >= it.columns.size();
    for (std::size_t i = 0; same && i < it.columns.size(); ++i) same = is->columns[i].number == it.columns[i];
    std::string list;
    for (auto const number : it.columns) {
        auto const* old_column = was->find_column(number);
        auto const* column = old_column != nullptr ? same_column(it.relation, number, old_column->name) : nullptr;
        if (column == nullptr) return refuse(refusal_kind::dropped, "a column of an INSERT without a list is gone");
        if (!list.empty()) list += ", ";
        list += sql::quoted_name(column->name);
    }
    if (!same && !it.columns.empty()) add(it.list_at, it.list_at, fmt::format(" ({})", list));
}

/// USING and NATURAL name a column once for both sides.
void rewriter::merged(sql::merged_columns const& it) {
    auto const check = [&](catalog::oid relation, std::int16_t number, std::uint32_t item) {
        if (relation == 0 || refusal_) return;
        auto const* column = same_column(relation, number, it.name);
        if (column != nullptr && column->name != it.name) replaced_.insert(item);
    };
    check(it.left_relation, it.left_column, it.left_item);
    check(it.right_relation, it.right_column, it.right_item);
}

std::optional<bool> rewriter::changed_at(std::uint32_t byte) const {
    auto const found = changed_.find(byte);
    if (found == changed_.end()) return std::nullopt;
    return found->second;
}

} // namespace pgmend::healing
