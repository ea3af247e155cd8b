#include "admin/http_routes.hpp"

#include "admin/commands.hpp"
#include "admin/metrics.hpp"
#include "pgmend/base/utf8.hpp"
#include "pgmend/telemetry/exposition.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

namespace pgmend::admin {
namespace {

using answer_function = std::function<void(http_response)>;

constexpr std::string_view json_type = "application/json; charset=utf-8";

http_response json_error(unsigned status, std::string_view text) {
    http_response out{status, std::string{json_type}, "{\"error\":", {}};
    append_json(out.body, text);
    out.body += "}\n";
    return out;
}

unsigned status_of(session::console_error const& error) {
    if (error.code == wire::sqlstate::undefined_object) return 404;
    if (error.code == wire::sqlstate::wrong_state) return 409;
    if (error.code == wire::sqlstate::syntax_error) return 400;
    return 503;
}

/// In a time that does not depend on where they differ.
bool same_secret(std::string_view a, std::string_view b) {
    unsigned char different = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < a.size(); ++i) different |= static_cast<unsigned char>(a[i] ^ (b.empty() ? '\0' : b[i % b.size()]));
    return different == 0;
}

bool is_loopback(std::string_view address) { return address == "localhost" || address.starts_with("127.") || address == "::1"; }

/// "SHOW POOLS" -> "pools".
std::string table_name(std::string_view command) {
    std::string out;
    for (char const c : command.substr(5)) out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == ' ' ? '_' : c);
    return out;
}

command const* find_table(std::string_view name) {
    for (auto const& c : all_commands())
        if (c.name.starts_with("SHOW ") && table_name(c.name) == name) return &c;
    return nullptr;
}

http_response index_of_tables() {
    http_response out{200, std::string{json_type}, "{\"tables\":[", {}};
    bool first = true;
    for (auto const& c : all_commands()) {
        if (!c.name.starts_with("SHOW ") || c.help.empty()) continue;
        if (!std::exchange(first, false)) out.body += ",";
        out.body += "{\"path\":";
        append_json(out.body, "/api/v1/" + table_name(c.name));
        out.body += ",\"description\":";
        append_json(out.body, c.help);
        out.body += "}";
    }
    out.body += "]}\n";
    return out;
}

http_response page_response(http_request const& to, page_file const& file) {
    auto const tag = fmt::format("\"{}\"", file.tag);
    http_response out{200, std::string{file.content_type}, std::string{file.content},
                      {{"ETag", tag}, {"Content-Security-Policy", "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}}};
    if (to.if_none_match == tag) {
        out.status = 304;
        out.body.clear();
    }
    return out;
}

} // namespace

void append_json(std::string& out, std::string_view text) {
    out.push_back('"');
    for (std::size_t at = 0; at < text.size();) {
        auto const from = at;
        auto const code = base::next_code_point(text, at);
        if (!code) out += "\xef\xbf\xbd";
        else if (*code == '"' || *code == '\\') (out += '\\') += static_cast<char>(*code);
        else if (*code < 0x20 || *code == 0x7f || *code == '<') fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(*code));
        else out.append(text.substr(from, at - from));
    }
    out.push_back('"');
}

std::string table_as_json(std::span<session::console_column const> columns, std::vector<session::console_row> const& rows,
                          std::vector<std::pair<std::string, std::string>> const& where, std::size_t most) {
    std::string out = "{\"columns\":[";
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (i > 0) out += ',';
        append_json(out, columns[i].name);
    }
    out += "],\"rows\":[";
    auto const wanted = [&](session::console_row const& row) {
        for (auto const& [name, value] : where)
            for (std::size_t i = 0; i < columns.size(); ++i)
                if (columns[i].name == name && row[i].value_or("") != value) return false;
        return true;
    };
    std::size_t written = 0;
    for (auto const& row : rows) {
        if (written >= most) break;
        if (!wanted(row)) continue;
        out += written++ > 0 ? ",\n{" : "\n{";
        for (std::size_t i = 0; i < columns.size(); ++i) {
            if (i > 0) out += ',';
            append_json(out, columns[i].name);
            out += ':';
            if (!row[i]) out += "null";
            else if (columns[i].type == session::console_type::text || row[i]->find_first_not_of("0123456789.-+e") != std::string::npos) append_json(out, *row[i]);
            else out += *row[i];
        }
        out += '}';
    }
    out += "\n]}\n";
    return out;
}

/// A page elsewhere may name this address as its own in the DNS and so make a browser read it: such a request has the foreign name as its host.
bool http_routes::host_is_ours(std::string_view host) const {
    if (!is_loopback(settings_.address)) return true;
    auto const colon = host.rfind(':');
    auto name = host.ends_with(']') || colon == std::string_view::npos ? host : host.substr(0, colon);
    if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
    return name.empty() || is_loopback(name);
}

bool http_routes::has_token(http_request const& it) const {
    constexpr std::string_view scheme = "Bearer ";
    return !settings_.token.empty() && it.authorization.starts_with(scheme) &&
           same_secret(std::string_view{it.authorization}.substr(scheme.size()), settings_.token);
}

void http_routes::tell_table(http_request const& to, std::string_view name, answer_function answer) const {
    auto const* const found = find_table(name);
    if (found == nullptr) return answer(json_error(404, fmt::format("there is no table {}; /api/v1 lists them", name)));
    std::size_t most = 100000;
    if (auto const limit = to.asked("limit"); !limit.empty())
        if (std::from_chars(limit.data(), limit.data() + limit.size(), most).ec != std::errc{}) return answer(json_error(400, "limit must be a number"));
    for (auto const& [key, value] : to.query) // a name that is wrong would pick every row
        if (key != "limit" && std::none_of(found->columns.begin(), found->columns.end(), [&](auto const& c) { return c.name == key; }))
            return answer(json_error(400, fmt::format("{} has no column {}", name, key)));
    auto where = to.query;
    found->run({&from_, 0, {}, "http", [found, where = std::move(where), most, answer = std::move(answer)](session::console_answer const& it) {
                    if (auto const* const error = std::get_if<session::console_error>(&it)) return answer(json_error(status_of(*error), error->message));
                    answer({200, std::string{json_type}, table_as_json(found->columns, std::get<std::vector<session::console_row>>(it), where, most), {}});
                }});
}

/// /api/v1/patterns/7/approve
void http_routes::decide(http_request const& to, std::string_view rest, answer_function answer) const {
    if (to.method != "POST") return answer(json_error(405, "a decision is a POST"));
    if (settings_.token.empty()) return answer(json_error(403, "this server only reads: admin.http_token is not set"));
    if (!has_token(to)) return answer(json_error(401, "a decision needs the token, as Authorization: Bearer …"));
    auto const slash = rest.find('/');
    std::uint64_t number = 0;
    auto const id = rest.substr(0, slash);
    auto const parsed = std::from_chars(id.data(), id.data() + id.size(), number);
    if (slash == std::string_view::npos || parsed.ec != std::errc{} || parsed.ptr != id.data() + id.size()) return answer(json_error(404, "there is no such decision"));
    auto verb = std::string{rest.substr(slash + 1)};
    for (auto const& c : all_commands()) {
        if (!c.name.ends_with(" PATTERN")) continue;
        std::string name;
        for (char const l : c.name.substr(0, c.name.size() - 8)) name.push_back(static_cast<char>(l - 'A' + 'a'));
        if (name != verb) continue;
        return c.run({&from_, number, {}, "http", [answer = std::move(answer)](session::console_answer const& it) {
                          if (auto const* const error = std::get_if<session::console_error>(&it)) return answer(json_error(status_of(*error), error->message));
                          answer({200, std::string{json_type}, "{\"done\":true}\n", {}});
                      }});
    }
    answer(json_error(404, "a pattern can be approved, rejected, suspended or resumed"));
}

void http_routes::respond(http_request const& to, answer_function answer) const {
    if (!host_is_ours(to.host)) return answer(json_error(421, "this address is not that host"));
    std::string_view path = to.path;
    constexpr std::string_view api = "/api/v1";
    constexpr std::string_view patterns = "/api/v1/patterns/";
    if (path.starts_with(patterns)) return decide(to, path.substr(patterns.size()), std::move(answer));
    if (to.method != "GET" && to.method != "HEAD") return answer(json_error(405, "only GET"));
    // Health is for those that restart and route; it tells nothing of what is stored.
    if (path == "/livez") return answer({200, std::string{json_type}, "{\"alive\":true}\n", {}});
    if (path == "/readyz") {
        auto const why = not_ready_();
        std::string body = fmt::format("{{\"ready\":{},\"reasons\":[", why.empty());
        for (std::size_t i = 0; i < why.size(); ++i) {
            if (i > 0) body += ',';
            append_json(body, why[i]);
        }
        return answer({why.empty() ? 200U : 503U, std::string{json_type}, body + "]}\n", {}});
    }
    if (path == "/api/v1/health") { // as /readyz, without a status that says it twice; and what this server lets its callers do
        auto const why = not_ready_();
        std::string body = fmt::format("{{\"ready\":{},\"reasons\":[", why.empty());
        for (std::size_t i = 0; i < why.size(); ++i) {
            if (i > 0) body += ',';
            append_json(body, why[i]);
        }
        return answer({200, std::string{json_type}, body + fmt::format("],\"read_needs_token\":{},\"can_decide\":{}}}\n", settings_.read_needs_token, !settings_.token.empty()), {}});
    }
    if (auto const* const file = find_page_file(path)) return answer(page_response(to, *file)); // it has no figures in it
    if (settings_.read_needs_token && !has_token(to)) {
        auto refused = json_error(401, "reading needs the token, as Authorization: Bearer …");
        refused.headers.emplace_back("WWW-Authenticate", "Bearer");
        return answer(std::move(refused));
    }
    if (path == "/metrics") {
        bool const open = to.accept.find("application/openmetrics-text") != std::string::npos;
        return write_metrics(from_, open, not_ready_().empty(), [open, answer = std::move(answer)](std::string text) {
            answer({200, std::string{telemetry::exposition::content_type(open)}, std::move(text), {}});
        });
    }
    if (path == "/api" || path == "/api/" || path == api || path == "/api/v1/") return answer(index_of_tables());
    if (path.starts_with("/api/v1/")) return tell_table(to, path.substr(api.size() + 1), std::move(answer));
    answer(json_error(404, "there is /, /metrics, /livez, /readyz and /api/v1"));
}

} // namespace pgmend::admin
