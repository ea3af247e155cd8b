// One file's rules, each by itself.
#pragma once

#include "pgmend/rules/rule_file.hpp"
#include "pgmend/yaml/document.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::rules {

/// Where the parts of a rule stand, for what is found out later.
struct places {
    yaml::position name;
    yaml::position subject;
    yaml::position does;
};

/// A rule and where it is written. Of a rule with mistakes there is none.
struct placed_rule {
    rule value;
    places where;
};

/// Walks one document along the table of keys.
class reader {
  public:
    reader(std::string_view file, std::chrono::sys_seconds now, std::vector<placed_rule>& rules, std::vector<yaml::problem>& problems)
        : file_{file}, now_{now}, rules_{rules}, problems_{problems} {}

    void read(std::string_view text);

  private:
    using entries = std::map<std::string_view, yaml::entry const*>;

    void report(yaml::position where, std::string message, yaml::severity level = yaml::severity::error);
    void read_rule(yaml::node const& item);
    [[nodiscard]] entries known(std::string_view group, std::string const& path, yaml::node const& mapping);
    [[nodiscard]] bool good_kind(std::string_view group, std::string const& shown, yaml::entry const& e);
    [[nodiscard]] bool one_form(entries const& given, yaml::position place, std::string_view& subject, std::string_view& does);
    void read_common(entries const& given, yaml::position place, rule& out);
    void read_when(yaml::node const& mapping, condition& out);
    void read_expires(yaml::entry const& e, rule& out);
    [[nodiscard]] std::optional<action> read_action(std::string_view subject, std::string_view does, entries const& given);
    [[nodiscard]] std::optional<action> read_column(column_name column, std::string_view does, yaml::entry const& e);
    [[nodiscard]] std::optional<action> read_gone(column_name column, yaml::entry const& e);
    [[nodiscard]] std::optional<action> read_table(object_name table, std::string_view does, yaml::entry const& e);
    [[nodiscard]] std::optional<action> read_statement(yaml::entry const& statement, std::string_view does, yaml::entry const& e);
    [[nodiscard]] bool boolean(std::string_view shown, yaml::entry const& e);
    [[nodiscard]] std::optional<std::string> read_expression(std::string const& shown, yaml::entry const& e, bool written);
    [[nodiscard]] std::vector<std::string> texts(std::string const& shown, yaml::node const& value);
    [[nodiscard]] std::optional<std::size_t> choice(std::string_view group, std::string const& shown, yaml::entry const& e);

    /// The value, or a report that begins with the key.
    template <class T>
    [[nodiscard]] std::optional<T> or_report(std::string_view shown, yaml::position where, base::result<T> parsed) {
        if (parsed) return std::move(*parsed);
        report(where, std::string{shown} + " " + parsed.error().text);
        return std::nullopt;
    }

    std::string file_;
    std::chrono::sys_seconds now_;
    std::vector<placed_rule>& rules_;
    std::vector<yaml::problem>& problems_;
    std::size_t mistakes_{0};
};

} // namespace pgmend::rules
