#include "pairing.hpp"
#include "pgmend/catalog/diff.hpp"

#include <algorithm>
#include <unordered_set>

namespace pgmend::catalog {

namespace {

/// Names in the order of finding, and the types whose values look different now.
class collector {
  public:
    collector(snapshot const& before, snapshot const& after) : before_{before}, after_{after} {}

    std::vector<std::string> run() {
        schemas();
        for_each_difference(before_.relations(), after_.relations(), [&](relation const* old, relation const* now) { differs(old, now); });
        for_each_difference(before_.types(), after_.types(), [&](type_entry const* old, type_entry const* now) { differs(old, now); });
        for_each_difference(before_.functions(), after_.functions(),
                            [&](function_entry const* old, function_entry const* now) { differs(old, now); });
        if (!types_.empty() || !row_types_.empty()) {
            follow_types(before_);
            follow_types(after_);
        }
        std::ranges::sort(names_);
        names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
        return std::move(names_);
    }

  private:
    void add(std::string const& name) { names_.push_back(name); }

    template <class T>
    void add_names(T const* old, T const* now) {
        for (auto const* object : {old, now}) {
            if (object) add(object->name);
        }
    }

    void schemas() {
        if (before_.schemas().empty() || after_.schemas().empty()) return;
        for_each_difference(before_.schemas(), after_.schemas(),
                            [&](schema_entry const* old, schema_entry const* now) { add_names(old, now); });
    }

    /// Entries of a list in a relation that are not in the other version's list as they are.
    template <class T>
    void add_list(std::vector<T> const& these, std::vector<T> const& others) {
        for (auto const& entry : these) {
            if (std::ranges::find(others, entry) == others.end()) add(entry.name);
        }
    }

    void differs(relation const* old, relation const* now) {
        add_names(old, now);
        if (!old || !now) return; // whatever has to do with its columns names it
        add_list(old->columns, now->columns);
        add_list(now->columns, old->columns);
        add_list(old->constraints, now->constraints);
        add_list(now->constraints, old->constraints);
        add_list(old->unique_indexes, now->unique_indexes);
        add_list(now->unique_indexes, old->unique_indexes);
        if (old->columns != now->columns) row_types_.insert(old->id);
    }

    void differs(type_entry const* old, type_entry const* now) {
        add_names(old, now);
        if (!old || !now) {
            for (auto const& label : (old ? old : now)->labels) add(label.label);
            return;
        }
        auto const add_labels = [&](type_entry const* these, type_entry const* others) {
            for (auto const& label : these->labels) {
                if (std::ranges::find(others->labels, label) == others->labels.end()) add(label.label);
            }
        };
        add_labels(old, now);
        add_labels(now, old);
        if (old->base != now->base || old->kind != now->kind || old->element != now->element) types_.insert(old->id);
    }

    void differs(function_entry const* old, function_entry const* now) { add_names(old, now); }

    /// What has a value of one of these types, or of one that is made of them.
    void follow_types(snapshot const& version) {
        for (auto const& type : version.types()) {
            if (type->relation != 0 && row_types_.contains(type->relation)) types_.insert(type->id);
        }
        for (auto known = std::size_t{0}; known != types_.size();) {
            known = types_.size();
            for (auto const& type : version.types()) {
                if (types_.contains(type->element) || types_.contains(type->base)) types_.insert(type->id);
            }
        }
        for (auto const& r : version.relations()) {
            if (std::ranges::any_of(r->columns, [&](column const& c) { return types_.contains(c.type); })) add(r->name);
        }
        for (auto const& f : version.functions()) {
            if (types_.contains(f->result) || std::ranges::any_of(f->arguments, [&](oid a) { return types_.contains(a); })) add(f->name);
        }
    }

    snapshot const& before_;
    snapshot const& after_;
    std::vector<std::string> names_;
    std::unordered_set<oid> row_types_; ///< relations whose row looks different now
    std::unordered_set<oid> types_;
};

} // namespace

std::vector<std::string> touched_names(snapshot const& before, snapshot const& after) { return collector{before, after}.run(); }

} // namespace pgmend::catalog
