#include "pgmend/catalog/diff.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace pgmend::catalog {

namespace {

/// FNV-1a with 128 bits: for telling versions apart in a report, not against an adversary.
class hasher {
  public:
    void add(std::string_view text) {
        for (char const c : text) add_byte(static_cast<unsigned char>(c));
        add_byte(0xff); // in no UTF-8 text, so no two lists of texts look the same
    }
    void add(char c) { add_byte(static_cast<unsigned char>(c)); }
    void add(bool b) { add_byte(b ? 1 : 0); }

    [[nodiscard]] std::string hexadecimal() const {
        return fmt::format("{:016x}{:016x}", static_cast<std::uint64_t>(state_ >> 64), static_cast<std::uint64_t>(state_));
    }

  private:
    __extension__ using wide = unsigned __int128;

    void add_byte(unsigned char byte) {
        constexpr wide prime = (wide{1} << 88) + 0x13b;
        state_ = (state_ ^ byte) * prime;
    }

    wide state_{(wide{0x6c62272e07bb0142} << 64) + 0x62b821756295c58d};
};

template <class T>
std::vector<T const*> by_name(std::vector<std::shared_ptr<T const>> const& objects) {
    std::vector<T const*> found;
    for (auto const& o : objects) {
        if (o->id >= first_user_oid) found.push_back(o.get());
    }
    std::ranges::sort(found, {}, [](T const* o) { return full_name(*o); });
    return found;
}

template <class T>
std::vector<T const*> by_name(std::vector<T> const& entries) {
    std::vector<T const*> found;
    for (auto const& e : entries) found.push_back(&e);
    std::ranges::sort(found, {}, [](T const* e) -> std::string const& { return e->name; });
    return found;
}

void add_columns(hasher& h, relation const& r, std::vector<std::int16_t> const& numbers) {
    for (auto const number : numbers) {
        auto const* found = r.find_column(number);
        h.add(found ? std::string_view{found->name} : std::string_view{});
    }
}

void add_relation(hasher& h, snapshot const& version, relation const& r) {
    h.add(r.schema);
    h.add(r.name);
    h.add(r.kind);
    for (auto const& c : r.columns) {
        h.add(c.name);
        h.add(type_text(version, c.type, c.type_modifier));
        h.add(c.not_null);
        h.add(c.has_default);
        h.add(c.identity);
        h.add(c.generated);
    }
    for (auto const* c : by_name(r.constraints)) {
        h.add(c->name);
        h.add(c->kind);
        add_columns(h, r, c->columns);
    }
    for (auto const* i : by_name(r.unique_indexes)) {
        h.add(i->name);
        add_columns(h, r, i->columns);
        h.add(i->nulls_not_distinct);
        h.add(i->predicate);
        h.add(i->expressions);
    }
}

} // namespace

std::string fingerprint(snapshot const& version) {
    hasher h;
    for (auto const* s : by_name(version.schemas())) h.add(s->name);
    h.add("relations");
    for (auto const* r : by_name(version.relations())) add_relation(h, version, *r);
    h.add("types");
    for (auto const* t : by_name(version.types())) {
        if (t->element != 0 || (t->relation != 0 && version.find(t->relation))) continue;
        h.add(t->schema);
        h.add(t->name);
        h.add(t->kind);
        h.add(t->base == 0 ? std::string{} : type_text(version, t->base, -1));
        for (auto const& label : t->labels) h.add(label.label);
    }
    h.add("functions");
    std::vector<std::string> signatures; // overloads have one name
    for (auto const* f : by_name(version.functions())) {
        auto text = fmt::format("{}.{}", f->schema, f->name);
        for (auto const argument : f->arguments) text += "," + type_text(version, argument, -1);
        signatures.push_back(fmt::format("{}->{}{}", text, f->returns_set ? "setof " : "", type_text(version, f->result, -1)));
    }
    std::ranges::sort(signatures);
    for (auto const& s : signatures) h.add(s);
    return h.hexadecimal();
}

} // namespace pgmend::catalog
