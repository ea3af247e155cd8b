// PostgreSQL's raw parse tree, seen from C++. Include it after everything else: its headers define many macros.
// Only this folder includes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#define text server_text // a type of the server's whose name we want for ourselves
extern "C" {
#include <postgres.h>

#include <nodes/parsenodes.h>
#include <parser/scanner.h>
#include <pg_query.h>
#include <pg_query/pg_query_internal.h>
}
#undef text
#undef vsnprintf // and functions that headers behind this one call by their own names
#undef snprintf
#undef vsprintf
#undef sprintf
#undef vfprintf
#undef fprintf
#undef vprintf
#undef printf
#undef strerror
#undef strerror_r

// libpg_query keeps CurrentMemoryContext and the like per thread, the server's headers do not know that: code of
// ours must not touch them (nor the macros that do: palloc, PG_TRY, lappend, …).

namespace pgmend::sql {

/// A List of node pointers as a range.
class nodes {
  public:
    explicit nodes(List const* list) : list_{list} {}

    [[nodiscard]] std::size_t size() const { return list_ == nullptr ? 0 : static_cast<std::size_t>(list_->length); }
    [[nodiscard]] bool empty() const { return size() == 0; }
    [[nodiscard]] Node* operator[](std::size_t i) const { return static_cast<Node*>(list_->elements[i].ptr_value); }
    [[nodiscard]] Node* back() const { return (*this)[size() - 1]; }

    class iterator {
      public:
        explicit iterator(ListCell const* cell) : cell_{cell} {}
        Node* operator*() const { return static_cast<Node*>(cell_->ptr_value); }
        iterator& operator++() {
            ++cell_;
            return *this;
        }
        bool operator==(iterator const&) const = default;

      private:
        ListCell const* cell_;
    };
    [[nodiscard]] iterator begin() const { return iterator{list_ == nullptr ? nullptr : list_->elements}; }
    [[nodiscard]] iterator end() const { return iterator{list_ == nullptr ? nullptr : list_->elements + list_->length}; }

  private:
    List const* list_;
};

[[nodiscard]] inline NodeTag tag_of(void const* node) { return static_cast<Node const*>(node)->type; }

template <class T>
[[nodiscard]] T* as(void* node) {
    return static_cast<T*>(node);
}

template <class T>
[[nodiscard]] T const* as(void const* node) {
    return static_cast<T const*>(node);
}

/// A text in quotes.
[[nodiscard]] inline bool is_literal(Node const* node) {
    return node != nullptr && tag_of(node) == T_A_Const && !as<A_Const>(node)->isnull && tag_of(&as<A_Const>(node)->val.node) == T_String;
}

/// The text of a String node.
[[nodiscard]] inline std::string_view text_of(void const* node) { return static_cast<String const*>(node)->sval; }

} // namespace pgmend::sql
