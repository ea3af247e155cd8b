// Functions, types, labels of enums and constraints under their names of today.
#include "healing/rewriter.hpp"

#include "healing/version_source.hpp"
#include "pgmend/sql/array_text.hpp"
#include "pgmend/sql/names.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgmend::healing {
namespace {

template <class T>
std::string dotted(T const& object) { return fmt::format("{}.{}", object.schema, object.name); }

} // namespace

void rewriter::object_reference(sql::reference const& it, std::size_t index) {
    using kind = sql::reference::kind_type;
    changed_.try_emplace(it.parts.front().begin, false);
    switch (it.kind) {
    case kind::function: return function_reference(it, index);
    case kind::type: return type_reference(it, index);
    case kind::enum_label: return label_reference(it);
    case kind::constraint: return constraint_reference(it);
    default: return;
    }
}

/// Writes the new name of a function or type, with its schema where that is needed.
void rewriter::write_name(sql::reference const& it, std::size_t index, renaming::kind_type kind, object_name const& was,
                          object_name const& is, bool visible) {
    bool const renamed = is.name != it.name;
    bool const qualify = it.qualified || !visible;
    if (!renamed && (it.qualified ? was.schema == is.schema : visible)) return;
    auto text = sql::quoted_name(is.name);
    if (qualify && it.as_field) return refuse(refusal_kind::not_understood, fmt::format("the function {}() is written like a column, and would need its schema", is.name));
    if (qualify) text = fmt::format("{}.{}", sql::quoted_name(is.schema), text);
    auto const first = it.parts.size() == 3 ? it.parts[1].begin : it.parts.front().begin; // a database in front stays
    add(first, it.parts.back().end, std::move(text));
    changed_[it.parts.front().begin] = true;
    if (renamed) renamed_[index] = is.name;
    note_object(kind, kind == renaming::kind_type::function ? "function" : "type", dotted(was), dotted(is));
}

void rewriter::note_object(renaming::kind_type kind, std::string_view what, std::string before, std::string after) {
    renaming made{kind, std::move(before), std::move(after)};
    if (std::find(renamings_.begin(), renamings_.end(), made) != renamings_.end()) return;
    patterns_.push_back(fmt::format("{} {} -> {}", what, made.before, made.after));
    renamings_.push_back(std::move(made));
}

/// Which of several functions a call means depends on its arguments: all of them must have one new name.
void rewriter::function_reference(sql::reference const& it, std::size_t index) {
    catalog::function_entry const* is = nullptr;
    catalog::function_entry const* was = nullptr;
    for (auto const id : it.candidates) {
        auto const* now = now_.find_function(id);
        if (now == nullptr) return refuse(refusal_kind::dropped, fmt::format("function \"{}\" was dropped", it.name));
        if (is != nullptr && (is->name != now->name || is->schema != now->schema)) {
            return refuse(refusal_kind::ambiguous_lineage, fmt::format("\"{}\" may be one of several functions, which went apart", it.name));
        }
        is = now;
        if (was == nullptr && then_ != nullptr) was = then_->find_function(id);
    }
    if (is == nullptr) return;
    auto const schema = it.qualified && was != nullptr ? std::string_view{was->schema} : std::string_view{};
    if (!it.qualified || was != nullptr) {
        for (auto const* other : find_functions(now_, session_, schema, it.name)) {
            bool const one_of_them = std::find(it.candidates.begin(), it.candidates.end(), other->id) != it.candidates.end();
            if (!reused_ && !one_of_them && other->arguments.size() == is->arguments.size()) {
                return refuse(refusal_kind::name_reused, fmt::format("the name \"{}\" is now another function's", it.name));
            }
        }
    }
    auto const reachable = find_functions(now_, session_, {}, is->name);
    bool const visible = std::find(reachable.begin(), reachable.end(), is) != reachable.end();
    bool const renamed = is->name != it.name;
    write_name(it, index, renaming::kind_type::function, {was != nullptr ? was->schema : is->schema, it.name}, {is->schema, is->name}, visible);
    if (renamed && it.takes_alias && !refusal_) add(it.alias_at, it.alias_at, " AS " + sql::quoted_name(it.name)); // FROM f()
}

void rewriter::type_reference(sql::reference const& it, std::size_t index) {
    auto const* is = now_.find_type(it.object);
    if (is == nullptr) return refuse(refusal_kind::dropped, fmt::format("type \"{}\" was dropped", it.name));
    auto const* was = then_ != nullptr ? then_->find_type(it.object) : nullptr;
    auto const schema = it.qualified ? std::string_view{was != nullptr ? was->schema : is->schema} : std::string_view{};
    auto const* other = find_type(now_, session_, schema, it.name);
    if (other != nullptr && other->id != it.object && !reused_) {
        return refuse(refusal_kind::name_reused, fmt::format("the name \"{}\" is now another type's", it.name));
    }
    bool const visible = find_type(now_, session_, {}, is->name) == is;
    write_name(it, index, renaming::kind_type::type, {was != nullptr ? was->schema : is->schema, it.name}, {is->schema, is->name}, visible);
}

void rewriter::label_reference(sql::reference const& it) {
    auto const* type = now_.find_type(it.type);
    catalog::enum_label const* is = nullptr;
    for (auto const& label : type != nullptr ? type->labels : std::vector<catalog::enum_label>{}) {
        if (label.label == it.name && label.id != it.object && !reused_) {
            return refuse(refusal_kind::name_reused, fmt::format("a label of \"{}\" is now another one's", type->name));
        }
    }
    if (type != nullptr) {
        for (auto const& label : type->labels) {
            if (label.id == it.object) is = &label;
        }
    }
    if (is == nullptr) return refuse(refusal_kind::dropped, "a label of an enum is gone");
    if (is->label == it.name) return;
    bool const in_array = it.parts.size() > 1;
    auto literal = sql::quoted_literal(in_array ? sql::array_element_of(is->label) : is->label);
    if (!literal) return refuse(refusal_kind::not_understood, "an enum label's new name cannot be written in a literal");
    if (in_array) literal = literal->substr(1, literal->size() - 2); // it stands in one already
    add(it.parts.back().begin, it.parts.back().end, std::move(*literal));
    changed_[it.parts.front().begin] = true;
    note_object(renaming::kind_type::enum_label, "enum", fmt::format("{}.{}", dotted(*type), it.name),
                fmt::format("{}.{}", dotted(*type), is->label));
}

void rewriter::constraint_reference(sql::reference const& it) {
    auto const* relation = now_.find(it.relation);
    catalog::constraint_entry const* is = nullptr;
    if (relation != nullptr) {
        for (auto const& constraint : relation->constraints) {
            if (constraint.id == it.object) is = &constraint;
            if (constraint.name == it.name && constraint.id != it.object) {
                return refuse(refusal_kind::name_reused, fmt::format("the name \"{}\" is now another constraint's", it.name));
            }
        }
    }
    if (is == nullptr) return refuse(refusal_kind::dropped, fmt::format("constraint \"{}\" was dropped", it.name));
    if (is->name == it.name) return;
    add(it.parts.front().begin, it.parts.front().end, sql::quoted_name(is->name));
    changed_[it.parts.front().begin] = true;
    note_object(renaming::kind_type::constraint, "constraint", fmt::format("{}.{}", dotted(*relation), it.name),
                fmt::format("{}.{}", dotted(*relation), is->name));
}

/// A literal whose type is not known must be no label that meant something else at some time.
void rewriter::loose_literals(std::string_view text, std::vector<std::shared_ptr<catalog::snapshot const>> const& versions) {
    if ((meaning_.loose_literals.empty() && meaning_.text_labels.empty() && meaning_.enum_texts.empty()) || refusal_) return;
    std::vector<std::string_view> moved; // labels that came, went or were renamed
    for (auto const& version : versions) {
        for (auto const& type : version->types()) {
            if (type->labels.empty()) continue;
            auto const* now = now_.find_type(type->id);
            if (now == type.get()) continue;
            for (auto const& label : type->labels) {
                bool const same = now != nullptr && std::find(now->labels.begin(), now->labels.end(), label) != now->labels.end();
                if (same) continue;
                moved.push_back(label.label);
                if (std::find(meaning_.enum_texts.begin(), meaning_.enum_texts.end(), type->id) != meaning_.enum_texts.end())
                    return refuse(refusal_kind::not_understood, "an enum of which a label was renamed is looked at as a text");
            }
        }
    }
    if (moved.empty()) return;
    for (auto const& it : meaning_.text_labels) {
        if (std::find(moved.begin(), moved.end(), it.text) != moved.end()) {
            return refuse(refusal_kind::not_understood, "a text is compared with a label of an enum that was renamed");
        }
    }
    for (auto const& where : meaning_.loose_literals) {
        auto const written = text.substr(where.begin, where.end - where.begin);
        for (auto const label : moved) {
            bool const plain = written.front() == '\'' && written.find("''") == std::string_view::npos;
            bool const whole = written.size() == label.size() + 2 && written.substr(1, label.size()) == label;
            bool const in_list = written.size() > 1 && (written[1] == '{' || written[1] == '(') && written.find(label) != std::string_view::npos;
            if (whole || in_list || (!plain && written.find(label) != std::string_view::npos)) {
                return refuse(refusal_kind::not_understood,
                              "a literal may be a label of an enum that was renamed, and its type is not known");
            }
        }
    }
}

} // namespace pgmend::healing
