#include "pgmend/config/load.hpp"

#include "keys.hpp"
#include "text_file.hpp"
#include "values.hpp"

#include "pgmend/config/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <system_error>

namespace pgmend::config {
namespace {

using yaml::entry;
using yaml::kind_name;
using yaml::node;
using yaml::node_kind;
using yaml::position;

struct places {
    position key;
    position value;
};

/// Walks the tree along the table of keys. One for each load.
class reader {
  public:
    reader(std::string_view file, std::filesystem::path const& directory, std::filesystem::path const& state_directory, given_elsewhere given, loaded& out)
        : file_{file}, directory_{directory}, state_directory_{state_directory}, given_{given}, out_{out} {}

    void read(std::string_view text) {
        auto const parsed = yaml::parse_document(text);
        for (auto const& m : parsed.mistakes) report(m.where, severity::error, m.message);
        if (parsed.root) read_root(*parsed.root);
        else if (parsed.mistakes.empty()) report({}, severity::error, "the file is empty; it needs at least backends");
    }

  private:
    void report(position where, severity level, std::string message) {
        out_.problems.push_back({file_, where.line, where.column, level, std::move(message)});
    }

    void read_root(node const& root) {
        if (root.kind != node_kind::mapping) {
            report(root.where, severity::error, fmt::format("the file must be a mapping of keys to values, not {}", kind_name(root.kind)));
            return;
        }
        destination to{&out_.values};
        read_mapping("", "", root, to, true);
        if (!where_.contains("backends") && !given_.backend)
            report(root.where, severity::error, "backends is missing; it needs at least one server");
        check_listen_tls();
        for (std::size_t i = 0; i < out_.values.backends.size(); ++i) check_backend(i);
        check_roles();
        check_breaker_names();
        expand_hosts();
        check_rules();
        check_log();
        check_http();
        auto const guard = where_.find("healing.transaction_guard");
        if (guard != where_.end() && guard_text_ == "replay")
            report(guard->second.value, severity::warning, "healing.transaction_guard: replay is not in this version; savepoint is used instead");
    }

    /// `path` is empty or ends in a period.
    void read_mapping(std::string_view group, std::string const& path, node const& mapping, destination& to, bool effective) {
        for (auto const& e : mapping.entries) {
            auto const* const k = find_key(group, e.key);
            if (k == nullptr) {
                report(e.where, severity::error, fmt::format("unknown key {}{}", in_quotes(e.key), did_you_mean(e.key, names_in(group))));
                continue;
            }
            std::string const shown = path + e.key;
            where_[shown] = {e.where, e.value->where};
            bool const works = k->apply != nullptr;
            bool const described = !k->harmless.empty() && e.value->text == k->harmless;
            if (effective && !works && !described)
                report(e.where, severity::warning, fmt::format("{} has no effect in this version", shown));
            read_entry(*k, shown, e, to, effective && works);
        }
    }

    void read_entry(key const& k, std::string const& shown, entry const& e, destination& to, bool effective) {
        auto const& value = *e.value;
        if (k.type == key_type::paths_or_mapping && value.kind == node_kind::mapping) {
            destination inside = to;
            read_mapping(k.children, shown + ".", value, inside, effective);
        } else if (k.type == key_type::mapping) {
            if (value.kind == node_kind::null) return; // all of its keys are commented out
            if (value.kind != node_kind::mapping) {
                report(value.where, severity::error, fmt::format("{} must be a mapping, not {}", shown, kind_name(value.kind)));
                return;
            }
            destination inside = to;
            if (k.group == "policy") inside.evidence = evidence_of(k);
            if (k.children == "tls") inside.tls = to.backend != nullptr ? &to.backend->tls : &to.all->listen.tls;
            read_mapping(k.children, shown + ".", value, inside, effective);
        } else if (k.type == key_type::list_of_mappings) {
            read_backends(k, shown, e);
        } else if (k.type == key_type::connection && value.kind == node_kind::null) {
            return; // as if it were not there
        } else {
            auto parsed = parse_value(k, shown, value, shown == "state" ? state_directory_ : directory_);
            if (!parsed) report(value.kind == node_kind::null ? e.where : value.where, severity::error, parsed.error().text);
            else if (effective) k.apply(to, *parsed);
            if (shown == "healing.transaction_guard") guard_text_ = value.text;
        }
    }

    /// The table lists evidence in the order of its enumeration.
    static healing::evidence evidence_of(key const& k) {
        auto const names = names_in("policy");
        return static_cast<healing::evidence>(std::find(names.begin(), names.end(), k.name) - names.begin());
    }

    void read_backends(key const& k, std::string const& shown, entry const& e) {
        auto const& list = *e.value;
        if (list.kind == node_kind::null || (list.kind == node_kind::sequence && list.items.empty())) {
            if (!given_.backend) report(e.where, severity::error, fmt::format("{} is empty; it needs at least one server", shown));
            return;
        }
        if (list.kind != node_kind::sequence) {
            report(list.where, severity::error, fmt::format("{} must be a list (begin each server with \"- \"), not {}", shown, kind_name(list.kind)));
            return;
        }
        std::map<std::string, position> names;
        for (std::size_t i = 0; i < list.items.size(); ++i) {
            auto const& item = *list.items[i];
            std::string const path = fmt::format("{}[{}]", shown, i);
            auto& backend = out_.values.backends.emplace_back(default_backend());
            where_[path] = {item.where, item.where};
            if (item.kind != node_kind::mapping) {
                report(item.where, severity::error, fmt::format("{} must be a mapping, not {}", path, kind_name(item.kind)));
                continue;
            }
            destination to{&out_.values, &backend};
            read_mapping(k.children, path + ".", item, to, true);
            auto const name = where_.find(path + ".name");
            auto const place = name == where_.end() ? item.where : name->second.value;
            auto const [first, is_new] = names.try_emplace(backend.name, place);
            if (!is_new)
                report(place, severity::error, fmt::format("duplicate backend name {}; it is already in line {}", in_quotes(backend.name), first->second.line));
        }
    }

    /// Each host of a list is a server of its own: `db.1`, `db.2`, …
    template <class F>
    static void for_each_host(net::backend_settings const& of, F use) {
        std::string_view rest = of.host;
        bool const several = rest.find(',') != std::string_view::npos;
        for (int number = 1; !rest.empty(); ++number) {
            auto const end = std::min(rest.find(','), rest.size());
            use(several ? fmt::format("{}.{}", of.name, number) : of.name, rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
    }

    void expand_hosts() {
        std::vector<net::backend_settings> all;
        for (auto const& each : out_.values.backends) {
            for_each_host(each, [&](std::string const& name, std::string_view host) {
                auto& one = all.emplace_back(each);
                one.host = host;
                one.name = name;
            });
        }
        out_.values.backends = std::move(all);
    }

    /// Breakers are told apart by their names: each server has two (`NAME`, `NAME.statements`), pgmend itself has `catalog` and `state`.
    void check_breaker_names() {
        static constexpr std::string_view of_statements = ".statements";
        std::map<std::string, std::string> owners{{"catalog", "the catalog watcher's"}, {"state", "the store's"}};
        std::map<std::string_view, bool> seen;
        for (std::size_t i = 0; i < out_.values.backends.size(); ++i) {
            auto const& b = out_.values.backends[i];
            if (!seen.try_emplace(b.name, true).second) continue; // reported already
            auto const path = fmt::format("backends[{}]", i);
            auto const name = where_.find(path + ".name");
            auto const place = name == where_.end() ? where_[path].key : name->second.value;
            if (std::string_view{b.name}.ends_with(of_statements)) {
                report(place, severity::error, fmt::format("backend name {}: names that end in .statements are those of circuit breakers for statements; give it another one", in_quotes(b.name)));
                continue;
            }
            for_each_host(b, [&](std::string const& server, std::string_view) {
                for (auto const& breaker : {server, server + std::string{of_statements}}) {
                    auto const [owner, is_new] = owners.try_emplace(breaker, fmt::format("that of backend {}", in_quotes(b.name)));
                    if (!is_new)
                        report(place, severity::error, fmt::format("backend name {}: its circuit breaker {} would also be {}; give it another name", in_quotes(b.name), in_quotes(breaker), owner->second));
                }
            });
        }
    }

    /// Which server is the primary must be clear, or be found out.
    void check_roles() {
        auto const place = [this](std::size_t i) { return where_[fmt::format("backends[{}]", i)].key; };
        std::size_t servers = 0;
        for (std::size_t i = 0; i < out_.values.backends.size(); ++i) {
            auto const& b = out_.values.backends[i];
            auto const hosts = static_cast<std::size_t>(std::count(b.host.begin(), b.host.end(), ',')) + 1;
            servers += hosts;
            if (hosts > 1 && b.role == backend::configured_role::primary)
                report(place(i), severity::error, fmt::format("{} has several hosts, which cannot all be the primary: give it role: auto", in_quotes(b.name)));
        }
        if (servers < 2) return;
        net::backend_settings const* first = nullptr;
        for (std::size_t i = 0; i < out_.values.backends.size(); ++i) {
            auto const& b = out_.values.backends[i];
            if (b.role != backend::configured_role::primary) continue;
            if (first != nullptr)
                report(place(i), severity::error,
                       fmt::format("both {} and {} are the primary: give one of them role: replica, or both role: auto", in_quotes(first->name), in_quotes(b.name)));
            first = &b;
        }
        if (!where_.contains("control") && !given_.control)
            report(place(out_.values.backends.size() > 1 ? 1 : 0), severity::error,
                   "several backends need control: pgmend has to see that they are one cluster, and which of them is the primary");
    }

    void check_listen_tls() {
        auto const& tls = out_.values.listen.tls;
        auto const mode = where_.find("listen.tls.mode");
        auto const cert = where_.find("listen.tls.cert");
        if (mode == where_.end() && cert != where_.end())
            report(cert->second.key, severity::warning, "listen.tls.cert has no effect: listen.tls.mode is disable unless it is given");
        if (tls.mode == net::tls_mode::disable) return;
        auto const place = mode == where_.end() ? position{} : mode->second.key;
        need(place, "listen.tls.cert", "listen.tls.mode is not disable");
        need(place, "listen.tls.key", "listen.tls.mode is not disable");
        if (tls.mode == net::tls_mode::verify_ca || tls.mode == net::tls_mode::verify_full)
            need(place, "listen.tls.ca", "listen.tls.mode verifies the certificates of clients");
        check_files("listen.tls.", tls);
    }

    void check_backend(std::size_t index) {
        auto const& tls = out_.values.backends[index].tls;
        if (tls.mode == net::tls_mode::disable) return;
        auto const path = fmt::format("backends[{}].tls.", index);
        auto const cert = where_.find(path + "cert");
        auto const key = where_.find(path + "key");
        if (cert != where_.end()) need(cert->second.key, path + "key", path + "cert is given");
        if (key != where_.end()) need(key->second.key, path + "cert", path + "key is given");
        check_files(path, tls);
    }

    void check_rules() {
        auto const path = where_.find("rules.path");
        auto const place = path != where_.end() ? path : where_.find("rules");
        if (place == where_.end()) return;
        for (auto const& name : out_.values.rules.paths) {
            std::error_code ignored;
            if (!std::filesystem::exists(name, ignored))
                report(place->second.value, severity::error, fmt::format("{}: there is no file or directory {}", place->first, in_quotes(name)));
        }
        if (out_.values.rules.paths.empty() && out_.values.rules.watch)
            report(place->second.key, severity::error, "rules.path is missing; there is nothing to watch");
    }

    void check_http() {
        auto const http = where_.find("admin.http");
        auto const& is = out_.values.admin.http;
        if (http != where_.end() && is.address.empty())
            report(http->second.value, severity::error, "admin.http must be an address and a port, like 127.0.0.1:9632, or a port");
        auto const cert = where_.find("admin.http_cert");
        auto const key = where_.find("admin.http_key");
        if (cert != where_.end()) need(cert->second.key, "admin.http_key", "admin.http_cert is given");
        if (key != where_.end()) need(key->second.key, "admin.http_cert", "admin.http_key is given");
        check_readable("admin.http_cert", is.cert);
        check_readable("admin.http_key", is.key);
        if (is.read_needs_token && is.token.empty()) report(where_["admin.http_read"].key, severity::error, "admin.http_token is missing; it is required because admin.http_read is token");
        bool const elsewhere = !is.address.empty() && is.address != "localhost" && !is.address.starts_with("127.") && is.address != "::1";
        if (elsewhere && !is.read_needs_token)
            report(http->second.value, severity::warning, "admin.http can be read by everybody who reaches it: names, statements and who sends them; http_read: token asks for the token");
        if (elsewhere && is.cert.empty() && !is.token.empty())
            report(http->second.value, severity::warning, "admin.http_token passes in clear: http_cert and http_key encrypt it");
    }

    void check_log() {
        auto const file = where_.find("log.file");
        if (file != where_.end() && !out_.values.log.file.empty()) {
            auto const parent = std::filesystem::path{out_.values.log.file}.parent_path();
            std::error_code ignored;
            if (!parent.empty() && !std::filesystem::is_directory(parent, ignored))
                report(file->second.key, severity::error, fmt::format("log.file: there is no directory {}", in_quotes(parent.string())));
        }
    }

    void need(position place, std::string const& path, std::string_view because) {
        if (!where_.contains(path)) report(place, severity::error, fmt::format("{} is missing; it is required because {}", path, because));
    }

    void check_files(std::string const& path, net::tls_settings const& tls) {
        check_readable(path + "cert", tls.cert);
        check_readable(path + "key", tls.key);
        check_readable(path + "ca", tls.ca);
    }

    void check_readable(std::string const& path, std::string const& name) {
        if (name.empty()) return;
        std::error_code why;
        if (std::filesystem::is_directory(name, why)) {
            why = std::make_error_code(std::errc::is_a_directory);
        } else {
            std::unique_ptr<std::FILE, int (*)(std::FILE*)> const opened{std::fopen(name.c_str(), "re"), &std::fclose};
            why = opened ? std::error_code{} : std::error_code{errno, std::generic_category()};
        }
        if (why) report(where_[path].key, severity::error, fmt::format("{}: cannot read {}: {}", path, in_quotes(name), why.message()));
    }

    std::string file_;
    std::filesystem::path const& directory_;
    std::filesystem::path const& state_directory_;
    given_elsewhere given_;
    loaded& out_;
    std::map<std::string, places, std::less<>> where_;
    std::string guard_text_;
};

} // namespace

bool loaded::ok() const { return !yaml::has_errors(problems); }

namespace {

loaded load_from(std::string_view text, std::string_view file, std::filesystem::path const& directory, std::filesystem::path const& state_directory, given_elsewhere given) {
    loaded out;
    reader{file, directory, state_directory, given, out}.read(text);
    yaml::put_in_order(out.problems);
    if (out.ok() && !given.control) check_whole(out.values, file, out.problems);
    return out;
}

/// Where a service may write, by systemd's StateDirectory= (systemd.exec(5)): the first of several. Empty: it is not set.
std::filesystem::path service_state_directory() {
    auto const* const given = std::getenv("STATE_DIRECTORY");
    std::string_view const all{given != nullptr ? given : ""};
    return all.substr(0, all.find(':'));
}

} // namespace

loaded load_text(std::string_view text, std::string_view file, std::filesystem::path const& directory, given_elsewhere given) {
    return load_from(text, file, directory, directory, given);
}

loaded load(std::filesystem::path const& file, given_elsewhere given) {
    loaded out;
    auto const refuse = [&](std::string message) {
        out.problems.push_back({file.string(), 0, 0, severity::error, std::move(message)});
        return out;
    };
    auto const text = read_text_file(file, most_file_bytes);
    if (!text) return refuse(text.error().code == base::errc::too_large ? "larger than 1MiB; this cannot be a configuration" : text.error().text);
    auto const directory = file.parent_path();
    auto const of_service = service_state_directory();
    return load_from(*text, file.string(), directory, of_service.empty() ? directory : of_service, given);
}

void check_whole(settings const& s, std::string_view file, std::vector<problem>& problems) {
    if (s.control || s.healing.healing_mode == healing::mode::off) return;
    problems.push_back({std::string{file}, 0, 0, severity::warning,
                        "no control connection, so nothing can be healed: set control, or healing.mode to off"});
}

base::result<void> assign(settings& s, std::string_view group, std::string_view name, std::string_view text, std::string_view shown) {
    auto const* const k = find_key(group, name);
    node value;
    value.kind = node_kind::scalar;
    value.text = text;
    auto parsed = parse_value(*k, shown, value, {});
    if (!parsed) return parsed.error();
    destination to{&s};
    k->apply(to, *parsed);
    return {};
}

} // namespace pgmend::config
