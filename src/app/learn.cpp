#include "pgmend/app/options.hpp"

#include "live_schemas.hpp"
#include "watching.hpp"

#include "pgmend/config/learned_rules.hpp"
#include "pgmend/migrations/file_order.hpp"
#include "pgmend/migrations/name_story.hpp"
#include "pgmend/rules/rule_writer.hpp"
#include "pgmend/store/postgres_store.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <ostream>
#include <system_error>

namespace pgmend::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t most_file_bytes = 64U << 20;

/// Paths below the folder, with `/`; hidden ones are left out. Error: it cannot be read.
base::result<std::vector<std::string>> sql_files(fs::path const& folder) {
    std::vector<std::string> out;
    std::error_code failed;
    fs::recursive_directory_iterator it{folder, failed};
    for (; !failed && it != fs::recursive_directory_iterator{}; it.increment(failed)) {
        auto const name = it->path().filename().string();
        if (name.starts_with(".")) {
            it.disable_recursion_pending();
            continue;
        }
        std::error_code ignored;
        auto extension = it->path().extension().string();
        std::ranges::transform(extension, extension.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        if (extension == ".sql" && it->is_regular_file(ignored)) out.push_back(it->path().lexically_relative(folder).generic_string());
    }
    if (failed) return base::fail(base::errc::not_found, fmt::format("{}: {}", folder.string(), failed.message()));
    return out;
}

std::optional<std::string> content_of(fs::path const& file) {
    std::error_code failed;
    if (fs::file_size(file, failed) > most_file_bytes || failed) return std::nullopt;
    std::ifstream in{file, std::ios::binary};
    if (!in) return std::nullopt;
    std::string text{std::istreambuf_iterator<char>{in}, {}};
    return in.bad() ? std::nullopt : std::optional{std::move(text)};
}

std::string told(rules::rule const& it) {
    auto const full = [](std::string const& schema, std::string const& name) { return schema + "." + name; };
    if (auto const* says = std::get_if<rules::column_renamed>(&it.does))
        return fmt::format("column {}.{} is now {}", full(says->column.schema, says->column.table), says->column.column, says->now);
    if (auto const* says = std::get_if<rules::label_renamed>(&it.does))
        return fmt::format("label {}.{} is now {}", full(says->type.schema, says->type.name), says->label, says->now);
    auto const& says = std::get<rules::object_renamed>(it.does);
    return fmt::format("{} is now {}", full(says.object.schema, says.object.name), full(says.now.schema, says.now.name));
}

} // namespace

int learn(learn_options const& options, std::ostream& out, std::ostream& err) {
    auto const fail = [&](std::string_view why) {
        err << "pgmend: " << why << '\n';
        return status_failure;
    };
    auto const found = sql_files(options.migrations);
    if (!found) return fail(found.error().text);
    auto const order = migrations::in_order(*found);
    migrations::name_story story;
    std::size_t changes = 0;
    std::size_t unread = 0;
    auto const tell_unread = [&](std::string const& file, std::uint32_t line, std::string_view why) {
        ++unread;
        err << (line > 0 ? fmt::format("{}:{}: not read: {}\n", file, line, why) : fmt::format("{}: not read: {}\n", file, why));
    };
    for (auto const& path : order.run) {
        auto const text = content_of(options.migrations / path);
        if (!text) {
            tell_unread(path, 0, "it cannot be opened, or is too large");
            continue;
        }
        auto const script = migrations::read_script(*text);
        for (auto const& p : script.problems) tell_unread(path, p.line, p.reason);
        for (auto const& a : script.actions) story.run(a.what, {path, a.line});
        changes += script.actions.size();
    }
    for (auto const& it : order.others) {
        if (!it.expected) tell_unread(it.path, 0, it.reason);
    }
    auto rules = story.renames();
    auto lost = story.lost();
    auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    std::optional<fs::path> kept_in;
    std::string shared; // or a state that several share
    if (!options.print) {
        auto const loaded = effective_settings(options.server);
        if (!loaded.ok() || !loaded.values.control) {
            err << config::format(loaded.problems);
            return loaded.ok() ? fail("no control connection: --control, PGMEND_CONTROL, or control in the file") : status_failure;
        }
        if (store::is_postgres(loaded.values.state)) shared = loaded.values.state;
        else kept_in = config::learned_file(loaded.values);
        if (shared.empty() && !kept_in) return fail("nowhere to keep it: --state FILE, or state in the configuration");
        auto const schema = read_schema(watcher_settings_of(loaded.values), options.database, std::chrono::seconds{30});
        if (!schema) return fail(schema.error().text);
        rules = migrations::borne_out(std::move(rules), (*schema)->current(), lost);
    }
    for (auto const& it : lost) out << fmt::format("{}:{}: {}: {}\n", it.where.file, it.where.line, it.what, it.why);
    if (options.print) {
        for (auto& it : rules) it.comment = fmt::format("{}, line {}", it.where.file, it.where.line);
        out << rules::write_rule_file(rules, true);
    } else {
        for (auto const& it : rules) out << fmt::format("{}:{}: {}\n", it.where.file, it.where.line, told(it));
    }
    auto const summary = fmt::format("{} files read, {} changes of names, {} old names that lead to new ones, {} places not read", order.run.size(), changes,
                                     rules.size(), unread);
    if (options.print) {
        err << summary << '\n';
        return status_ok;
    }
    auto const written = kept_in ? config::write_learned_rules(*kept_in, options.database, std::move(rules), now)
                                 : store::keep_learned_rules(shared, options.database, config::learned_text(options.database, std::move(rules)));
    if (!written) return fail(written.error().text);
    out << summary << "\nkept in " << (kept_in ? kept_in->string() : "the PostgreSQL state") << "; a running pgmend takes it over on RELOAD or SIGHUP\n";
    return status_ok;
}

} // namespace pgmend::app
