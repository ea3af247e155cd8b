#include "pgmend/config/rule_files.hpp"

#include "text_file.hpp"

#include <algorithm>
#include <set>
#include <system_error>

namespace pgmend::config {
namespace {

namespace fs = std::filesystem;

bool is_rule_file(fs::path const& name) {
    auto const text = name.filename().string();
    return !text.starts_with('.') && (text.ends_with(".yaml") || text.ends_with(".yml"));
}

class file_finder {
  public:
    explicit file_finder(loaded_rules& out) : out_{out} {}

    void add(fs::path const& path) {
        std::error_code why;
        if (!fs::is_directory(path, why)) {
            watch(path.parent_path());
            return add_file(path);
        }
        watch(path);
        std::vector<fs::path> found;
        fs::directory_iterator entries{path, why};
        for (; !why && entries != fs::directory_iterator{}; entries.increment(why)) {
            std::error_code unknown;
            if (is_rule_file(entries->path()) && !entries->is_directory(unknown)) found.push_back(entries->path());
        }
        if (why) out_.problems.push_back({path.string(), 0, 0, yaml::severity::error, "cannot be read: " + why.message()});
        std::sort(found.begin(), found.end());
        for (auto const& file : found) add_file(file);
    }

    [[nodiscard]] std::vector<rules::source> const& sources() const { return sources_; }

  private:
    void add_file(fs::path const& file) {
        std::error_code ignored;
        auto const same = fs::weakly_canonical(file, ignored);
        if (!seen_.insert(ignored ? file : same).second) return; // named twice
        auto text = read_text_file(file, rules::most_file_bytes);
        ++out_.files;
        if (text) {
            sources_.push_back({file.string(), std::move(*text)});
            return;
        }
        bool const large = text.error().code == base::errc::too_large;
        out_.problems.push_back({file.string(), 0, 0, yaml::severity::error, large ? "larger than 16MiB; this cannot be a rule file" : text.error().text});
    }

    void watch(fs::path const& folder) {
        auto const shown = folder.empty() ? fs::path{"."} : folder;
        if (std::find(out_.folders.begin(), out_.folders.end(), shown) == out_.folders.end()) out_.folders.push_back(shown);
    }

    loaded_rules& out_;
    std::vector<rules::source> sources_;
    std::set<fs::path> seen_;
};

} // namespace

loaded_rules load_rule_files(rule_settings const& from, std::chrono::sys_seconds now) {
    loaded_rules out;
    file_finder finder{out};
    for (auto const& path : from.paths) finder.add(path);
    auto read = rules::load(finder.sources(), now);
    out.rules = std::move(read.rules);
    out.problems.insert(out.problems.end(), read.problems.begin(), read.problems.end());
    return out;
}

} // namespace pgmend::config
