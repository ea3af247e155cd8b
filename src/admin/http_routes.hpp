// From a request to a response.
#pragma once

#include "admin/http_machine.hpp"
#include "pgmend/admin/console.hpp"
#include "pgmend/net/settings.hpp"
#include "pgmend/session/console.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::admin {

/// Why no client can be served now; empty: it is ready.
using reasons = std::vector<std::string>;

/// Where requests are answered: metrics, health, tables, the page. Stateless; answers once, on any thread, perhaps before it returns.
class http_routes {
  public:
    /// All must outlive this. `not_ready` is asked on the caller's thread.
    http_routes(console_sources const& from, net::http_settings const& settings, std::function<reasons()> not_ready)
        : from_{from}, settings_{settings}, not_ready_{std::move(not_ready)} {}

    void respond(http_request const& to, std::function<void(http_response)> answer) const;

  private:
    [[nodiscard]] bool host_is_ours(std::string_view host) const;
    [[nodiscard]] bool has_token(http_request const& it) const;
    void tell_table(http_request const& to, std::string_view name, std::function<void(http_response)> answer) const;
    void decide(http_request const& to, std::string_view rest, std::function<void(http_response)> answer) const;

    console_sources const& from_;
    net::http_settings const& settings_;
    std::function<reasons()> not_ready_;
};

/// A table as JSON: {"columns": […], "rows": [{…}]}. Numbers are numbers, NULL is null. Where `where` (column and value) is given, only
/// those rows; at most `most`.
[[nodiscard]] std::string table_as_json(std::span<session::console_column const> columns, std::vector<session::console_row> const& rows,
                                        std::vector<std::pair<std::string, std::string>> const& where, std::size_t most);
/// Text in quotes; what is not UTF-8 becomes U+FFFD.
void append_json(std::string& out, std::string_view text);

/// A file of the page that the build has put into the program; nothing: there is none.
struct page_file {
    std::string_view name;
    std::string_view content_type;
    std::string_view content;
    std::string_view tag; ///< changes with the content
};
[[nodiscard]] page_file const* find_page_file(std::string_view path);

} // namespace pgmend::admin
