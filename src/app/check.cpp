#include "pgmend/app/options.hpp"

#include "live_schemas.hpp"
#include "watching.hpp"

#include "pgmend/config/rule_files.hpp"
#include "pgmend/control/rule_check.hpp"

#include <fmt/format.h>

#include <chrono>
#include <ostream>

namespace pgmend::app {
namespace {

std::string counted(std::size_t number, std::string_view what) { return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s"); }

/// What the rules say that the server's schemas do not bear out. Without a control connection or rules nothing is asked.
std::vector<config::problem> doubtful(config::settings const& settings, config::loaded_rules& loaded) {
    if (!settings.control || loaded.rules.empty() || settings.backends.empty()) return {};
    auto const watcher = watcher_settings_of(settings);
    auto const read = read_schemas(watcher, settings.backends.front().connect_timeout + std::chrono::seconds{5});
    if (!read) return {{{}, 0, 0, config::severity::warning, "the rules were not checked against the server's schemas: " + read.error().text}};
    return control::check_rules(watcher, rules::rule_set{std::move(loaded.rules), 1}, *read, [] { return false; });
}

} // namespace

int check(check_options const& options, std::ostream& out, std::ostream& err) {
    auto l = config::load(options.file, {.backend = false, .control = options.control.has_value()});
    err << config::format(l.problems);
    if (!l.ok()) return status_failure;
    if (options.control) l.values.control = options.control;
    auto rules = config::load_rule_files(l.values.rules, std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
    err << config::format(rules.problems);
    if (!rules.ok()) return status_failure;
    auto const count = rules.rules.size();
    auto const doubts = doubtful(l.values, rules);
    err << config::format(doubts);
    auto const warnings = l.problems.size() + rules.problems.size() + doubts.size();
    out << options.file.string() << ": ok";
    if (!l.values.rules.paths.empty()) out << ", " << counted(count, "rule") << " in " << counted(rules.files, "file");
    if (warnings > 0) out << ", " << counted(warnings, "warning");
    out << '\n' << config::summary(l.values);
    return status_ok;
}

} // namespace pgmend::app
