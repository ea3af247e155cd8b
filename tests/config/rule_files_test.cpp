#include "pgmend/config/load.hpp"
#include "pgmend/config/rule_files.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

using namespace pgmend;
namespace fs = std::filesystem;

namespace {

struct directory {
    directory() {
        std::string pattern = (fs::temp_directory_path() / "pgmend-rules-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path = pattern;
    }
    ~directory() { fs::remove_all(path); }
    std::string put(std::string const& name, std::string const& text) const {
        std::ofstream{path / name, std::ios::binary} << text;
        return (path / name).string();
    }
    fs::path path;
};

std::string one_rule(std::string const& name) { return "rules: [ { name: " + name + ", column: " + name + ".a, now: b } ]"; }

std::vector<std::string> names(config::loaded_rules const& l) {
    std::vector<std::string> out;
    for (auto const& r : l.rules) out.push_back(r.name);
    return out;
}

using list = std::vector<std::string>;

} // namespace

TEST_CASE("a directory's rule files are read in the order of their names") {
    directory const d;
    d.put("20-b.yml", one_rule("b"));
    d.put("10-a.yaml", one_rule("a"));
    d.put("30-c.yaml.bak", "not yaml: [");
    d.put(".30-c.yaml", "not yaml: [");
    d.put("notes.txt", "not yaml: [");
    fs::create_directory(d.path / "dir.yaml");
    auto const l = config::load_rule_files({{d.path.string()}, false}, {});
    CHECK(config::format(l.problems).empty());
    CHECK(names(l) == list{"a", "b"});
    CHECK(l.files == 2);
    CHECK(l.folders == std::vector<fs::path>{d.path});
}

TEST_CASE("files are read in the order of the list, each once") {
    directory const d;
    auto const a = d.put("a.yaml", one_rule("a"));
    auto const z = d.put("z.conf", one_rule("z"));
    auto const l = config::load_rule_files({{z, a, d.path.string(), z}, false}, {});
    CHECK(config::format(l.problems).empty());
    CHECK(names(l) == list{"z", "a"});
}

TEST_CASE("one bad file makes all of them bad, and each mistake names its file") {
    directory const d;
    auto const a = d.put("a.yaml", one_rule("a"));
    auto const b = d.put("b.yaml", "rules:\n  - { name: a, colum: x }\n");
    auto const l = config::load_rule_files({{d.path.string(), (d.path / "none.yaml").string()}, false}, {});
    CHECK(!l.ok());
    auto const text = config::format(l.problems);
    CHECK(text.find(b + ":2:16: error: unknown key \"colum\"; did you mean \"column\"?\n") != std::string::npos);
    CHECK(text.find("none.yaml: error: cannot be read: No such file or directory\n") != std::string::npos);
    CHECK(text.find(a + ":") == std::string::npos);
}

TEST_CASE("without any rules there is nothing to read") {
    auto const l = config::load_rule_files({}, {});
    CHECK(l.ok());
    CHECK(l.rules.empty());
    CHECK(l.folders.empty());
}
