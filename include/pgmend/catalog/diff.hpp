// What happened between two versions of a schema.
#pragma once

#include "pgmend/catalog/change.hpp"
#include "pgmend/catalog/snapshot.hpp"

#include <string>
#include <vector>

namespace pgmend::catalog {

/// All changes, by oid and number, so that a rename is a rename; objects of initdb left out. Both versions are of the same
/// database: of different ones the result means nothing. Quick where they share most of their objects.
///
/// Severities:
///   schema      added, replaced: info · renamed: minor · dropped: major
///   table, view, sequence
///               added: info · renamed, moved: minor · dropped, other kind: major
///               replaced: critical; a view by one with the same columns: info
///   column      added: info, but major if it needs a value · renamed: minor · dropped: major · replaced: critical
///               retyped: minor where every value fits (int4 -> int8, varchar -> text, …), else major
///               required: major; minor where it has a default · relaxed: info
///               identity ALWAYS or generated now: major · default lost: minor
///   constraint  primary key, unique: added: minor, dropped or other columns: major · others: added: minor, dropped: info
///               renamed: minor
///   index       (unique, of no constraint) added: minor · dropped, altered: major · renamed: info
///   type        added: info · renamed, moved: minor · dropped, replaced, base of a domain: major
///   label       added: info · renamed: minor · dropped: major
///   function    added: info, an overload: minor · renamed, moved: minor · replaced by one with the same arguments: info
///               dropped: major · otherwise altered: info
[[nodiscard]] std::vector<change> diff(snapshot const& before, snapshot const& after);

/// Every identifier whose meaning can differ between the two versions, sorted, each once: a statement that mentions none of
/// them, not in a literal either, is resolved as before. Names of relations stand for all that depends on their columns,
/// order and keys; functions and relations whose types changed are in it too.
[[nodiscard]] std::vector<std::string> touched_names(snapshot const& before, snapshot const& after);

/// 32 hexadecimal digits: the same for a schema that was dumped and restored. No oids, no names of the system.
[[nodiscard]] std::string fingerprint(snapshot const& version);

/// As people write it: `int4[]`, `varchar(20)`, `numeric(10,2)`, `public.mood`; `?` for a type that is not known.
[[nodiscard]] std::string type_text(snapshot const& version, oid type, std::int32_t modifier);

} // namespace pgmend::catalog
