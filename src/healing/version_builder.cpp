#include "healing/version_builder.hpp"

#include <algorithm>

namespace pgmend::healing {

catalog::relation& version_builder::relation(catalog::oid id) { return relations_.try_emplace(id, *from_->find(id)).first->second; }

catalog::type_entry& version_builder::type(catalog::oid id) { return types_.try_emplace(id, *from_->find_type(id)).first->second; }

bool version_builder::name_relation(catalog::oid id, std::string const& schema, std::string const& name) {
    for (auto const& [other, it] : relations_) {
        if (other != id && it.schema == schema && it.name == name && named_relations_.contains(other)) return true; // an earlier rule has it
    }
    if (!named_relations_.insert(id).second) return false;
    if (auto const* live = from_->find(schema, name); live != nullptr && live->id != id) hide_relation(live->id);
    auto& it = relation(id);
    it.schema = schema;
    it.name = name;
    return true;
}

bool version_builder::name_function(catalog::oid id, std::string const& schema, std::string const& name) {
    if (functions_.contains(id)) return false;
    for (auto const* live : from_->find_functions(schema, name)) {
        if (live->id != id) hide_function(live->id);
    }
    auto it = *from_->find_function(id);
    it.schema = schema;
    it.name = name;
    functions_.emplace(id, std::move(it));
    return true;
}

bool version_builder::name_type(catalog::oid id, std::string const& schema, std::string const& name) {
    if (!named_types_.insert(id).second) return false;
    if (auto const* live = from_->find_type(schema, name); live != nullptr && live->id != id) hide_type(live->id);
    auto& it = type(id);
    it.schema = schema;
    it.name = name;
    return true;
}

bool version_builder::name_column(catalog::oid relation_id, std::int16_t number, std::string const& name) {
    if (named_columns_.contains({relation_id, number})) return false;
    auto& it = relation(relation_id);
    auto const same = std::find_if(it.columns.begin(), it.columns.end(), [&](auto const& column) { return column.name == name; });
    if (same != it.columns.end()) {
        if (named_columns_.contains({relation_id, same->number})) return true; // an earlier rule has it
        it.columns.erase(same);
    }
    for (auto& column : it.columns) {
        if (column.number == number) column.name = name;
    }
    named_columns_.insert({relation_id, number});
    return true;
}

bool version_builder::add_column(catalog::oid relation_id, std::int16_t number, std::string const& name) {
    auto& it = relation(relation_id);
    bool const there = std::any_of(it.columns.begin(), it.columns.end(), [&](auto const& column) { return column.name == name; });
    if (!there) it.columns.push_back({.number = number, .name = name});
    return true;
}

bool version_builder::name_label(catalog::oid type_id, catalog::oid label, std::string const& name) {
    if (named_labels_.contains(label)) return false;
    auto& it = type(type_id);
    auto const same = std::find_if(it.labels.begin(), it.labels.end(), [&](auto const& other) { return other.label == name; });
    if (same != it.labels.end()) {
        if (named_labels_.contains(same->id)) return true;
        it.labels.erase(same);
    }
    for (auto& other : it.labels) {
        if (other.id == label) other.label = name;
    }
    named_labels_.insert(label);
    return true;
}

void version_builder::hide_column(catalog::oid relation_id, std::int16_t number) {
    std::erase_if(relation(relation_id).columns, [&](auto const& column) { return column.number == number; });
}

std::shared_ptr<catalog::snapshot const> version_builder::build() const {
    auto const made = [](auto const& all, auto const& changed, auto const& hidden) {
        auto out = all;
        std::erase_if(out, [&](auto const& it) { return hidden.contains(it->id); });
        using entry = std::remove_cvref_t<decltype(changed.begin()->second)>;
        for (auto& it : out) {
            if (auto const found = changed.find(it->id); found != changed.end()) it = std::make_shared<entry const>(found->second);
        }
        return out;
    };
    return std::make_shared<catalog::snapshot const>(
        from_->identity(),
        catalog::contents{made(from_->relations(), relations_, hidden_relations_), made(from_->types(), types_, hidden_types_),
                          made(from_->functions(), functions_, hidden_functions_), from_->schemas(), from_->system_functions()},
        from_);
}

} // namespace pgmend::healing
