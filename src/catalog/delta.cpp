#include "pgmend/catalog/delta.hpp"

#include "pairing.hpp"

#include <algorithm>
#include <unordered_set>

namespace pgmend::catalog {

namespace {

constexpr char format_version = 1;

class writer {
  public:
    void operator()(std::string const& text) {
        number(text.size());
        bytes += text;
    }
    void operator()(bool value) { bytes += value ? '\1' : '\0'; }
    void operator()(char value) { bytes += value; }
    void operator()(std::uint16_t value) { number(value); }
    void operator()(std::uint32_t value) { number(value); }
    void operator()(std::int16_t value) { signed_number(value); }
    void operator()(std::int32_t value) { signed_number(value); }
    template <class T>
    void operator()(std::vector<T> const& list);

    void number(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
        bytes += static_cast<char>(value);
    }

    std::string bytes;

  private:
    void signed_number(std::int64_t value) { number((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63)); }
};

/// After something unexpected every value is empty, and `well` is false.
class reader {
  public:
    explicit reader(std::string_view bytes) : left{bytes} {}

    void operator()(std::string& text) {
        auto const size = number();
        if (size > left.size()) return fail();
        text = left.substr(0, size);
        left.remove_prefix(size);
    }
    void operator()(bool& value) { value = byte() != 0; }
    void operator()(char& value) { value = static_cast<char>(byte()); }
    void operator()(std::uint16_t& value) { narrow(value, number()); }
    void operator()(std::uint32_t& value) { narrow(value, number()); }
    void operator()(std::int16_t& value) { narrow(value, signed_number()); }
    void operator()(std::int32_t& value) { narrow(value, signed_number()); }
    template <class T>
    void operator()(std::vector<T>& list);

    std::uint64_t number() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            auto const next = byte();
            value |= std::uint64_t{next & 0x7fU} << shift;
            if ((next & 0x80) == 0) return value;
        }
        fail();
        return 0;
    }
    /// Each of what follows takes a byte at least.
    std::size_t count() {
        auto const n = number();
        if (n <= left.size()) return n;
        fail();
        return 0;
    }
    void fail() {
        well = false;
        left = {};
    }

    std::string_view left;
    bool well{true};

  private:
    std::uint8_t byte() {
        if (left.empty()) {
            fail();
            return 0;
        }
        auto const value = static_cast<std::uint8_t>(left.front());
        left.remove_prefix(1);
        return value;
    }
    std::int64_t signed_number() {
        auto const value = number();
        return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
    }
    template <class T, class W>
    void narrow(T& value, W wide) {
        value = static_cast<T>(wide);
        if (static_cast<W>(value) != wide) fail();
    }
};

// The fields of each kind of object, for writing and for reading.

template <class A>
void fields(A& a, auto& x) requires requires { x.type_modifier; } {
    a(x.number), a(x.name), a(x.type), a(x.type_modifier), a(x.not_null), a(x.has_default), a(x.identity), a(x.generated);
}
template <class A>
void fields(A& a, auto& x) requires requires { x.immediate; } {
    a(x.id), a(x.name), a(x.columns), a(x.unique), a(x.primary), a(x.immediate), a(x.nulls_not_distinct), a(x.predicate), a(x.expressions);
}
template <class A>
void fields(A& a, auto& x) requires requires { x.unique_indexes; } {
    a(x.id), a(x.schema), a(x.name), a(x.kind), a(x.columns), a(x.constraints), a(x.unique_indexes);
}
template <class A>
void fields(A& a, auto& x) requires requires { x.labels; } {
    a(x.id), a(x.schema), a(x.name), a(x.kind), a(x.element), a(x.array), a(x.base), a(x.relation), a(x.labels);
}
template <class A>
void fields(A& a, auto& x) requires requires { x.changes_session; } {
    a(x.id), a(x.schema), a(x.name), a(x.kind), a(x.arguments), a(x.defaults), a(x.variadic), a(x.result), a(x.returns_set), a(x.volatility),
        a(x.changes_session), a(x.output_names);
}
template <class A>
void fields(A& a, auto& x) requires std::is_same_v<std::remove_cvref_t<decltype(x)>, constraint_entry> {
    a(x.id), a(x.name), a(x.kind), a(x.columns);
}
template <class A>
void fields(A& a, auto& x) requires std::is_same_v<std::remove_cvref_t<decltype(x)>, enum_label> {
    a(x.id), a(x.label);
}
template <class A>
void fields(A& a, auto& x) requires std::is_same_v<std::remove_cvref_t<decltype(x)>, schema_entry> {
    a(x.id), a(x.name);
}

template <class A, class T>
void value(A& a, T& x) {
    if constexpr (requires { a(x); } && !std::is_class_v<std::remove_const_t<T>>) a(x);
    else if constexpr (std::is_same_v<std::remove_const_t<T>, std::string>) a(x);
    else fields(a, x);
}

template <class T>
void writer::operator()(std::vector<T> const& list) {
    number(list.size());
    for (auto const& x : list) value(*this, x);
}

template <class T>
void reader::operator()(std::vector<T>& list) {
    auto const n = count();
    for (std::size_t i = 0; i < n && well; ++i) {
        T x{};
        value(*this, x);
        list.push_back(std::move(x));
    }
}

template <class T>
void write_kind(writer& w, std::vector<std::shared_ptr<T const>> const& before, std::vector<std::shared_ptr<T const>> const& after) {
    std::vector<oid> gone;
    std::vector<T const*> now;
    for_each_difference(before, after, [&](T const* old, T const* its) {
        if (its) now.push_back(its);
        else gone.push_back(old->id);
    });
    w(gone);
    w.number(now.size());
    for (auto const* x : now) fields(w, *x);
}

template <class T>
void read_kind(reader& r, std::vector<std::shared_ptr<T const>> const& before, std::vector<std::shared_ptr<T const>>& after) {
    std::vector<oid> gone;
    r(gone);
    std::unordered_set<oid> replaced{gone.begin(), gone.end()};
    auto const n = r.count();
    for (std::size_t i = 0; i < n && r.well; ++i) {
        auto x = std::make_shared<T>();
        fields(r, *x);
        replaced.insert(x->id);
        after.push_back(std::move(x));
    }
    for (auto const& x : before) {
        if (!replaced.contains(x->id)) after.push_back(x);
    }
}

} // namespace

std::string encode_delta(snapshot const* before, snapshot const& after) {
    snapshot const nothing{after.identity(), contents{}};
    auto const& from = before ? *before : nothing;
    writer w;
    w(format_version);
    write_kind(w, from.relations(), after.relations());
    write_kind(w, from.types(), after.types());
    write_kind(w, from.functions(), after.functions());
    write_kind(w, from.schemas(), after.schemas());
    return std::move(w.bytes);
}

base::result<contents> decode_delta(snapshot const* before, std::string_view bytes) {
    snapshot const nothing{{}, contents{}};
    auto const& from = before ? *before : nothing;
    reader r{bytes};
    char version = 0;
    r(version);
    if (r.well && version != format_version) return base::fail(base::errc::not_supported, "a format that this version does not know");
    contents all;
    read_kind(r, from.relations(), all.relations);
    read_kind(r, from.types(), all.types);
    read_kind(r, from.functions(), all.functions);
    read_kind(r, from.schemas(), all.schemas);
    if (!r.well || !r.left.empty()) return base::fail(base::errc::invalid_input, "not a version of a schema");
    for (auto const& relation : all.relations) {
        if (!std::ranges::is_sorted(relation->columns, {}, &column::number)) return base::fail(base::errc::invalid_input, "columns out of order");
    }
    all.system_functions = from.system_functions();
    return all;
}

contents with_system_objects(contents kept, snapshot const& current) {
    auto const add = [](auto& to, auto const& from) {
        for (auto const& x : from) {
            if (x->id < first_user_oid) to.push_back(x);
        }
    };
    add(kept.relations, current.relations());
    add(kept.types, current.types());
    kept.system_functions = current.system_functions();
    return kept;
}

} // namespace pgmend::catalog
