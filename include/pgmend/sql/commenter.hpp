// What a client's framework wrote into a comment of the statement: https://google.github.io/sqlcommenter/spec/
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::sql {

/// Keys and values, decoded, of the comment at the text's end (or at its beginning): `/*route='%2Fpolls',traceparent='00-…'*/`.
/// Empty where there is none of that form. Keys and values are cut at 256 bytes; control characters become spaces.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> comment_tags(std::string_view sql);

/// Whether this is a W3C trace context: `00-` 32 hexadecimal digits `-` 16 `-` 2.
[[nodiscard]] bool is_traceparent(std::string_view text);

} // namespace pgmend::sql
