#include "pgmend/config/load.hpp"
#include "pgmend/rules/rule_file.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace pgmend;
namespace fs = std::filesystem;

namespace {

/// With PGMEND_WRITE_SCHEMAS set the file is written anew.
std::string content_of(std::string const& name, std::string const& wanted) {
    auto const file = fs::path{PGMEND_TEST_DATA}.parent_path() / "conf" / name;
    if (std::getenv("PGMEND_WRITE_SCHEMAS") != nullptr) std::ofstream{file, std::ios::binary} << wanted;
    std::ostringstream out;
    out << std::ifstream{file, std::ios::binary}.rdbuf();
    return out.str();
}

} // namespace

TEST_CASE("the schemas for editors say what the tables of keys say (PGMEND_WRITE_SCHEMAS=1 writes them)") {
    CHECK(content_of("pgmend.schema.json", config::settings_schema()) == config::settings_schema());
    CHECK(content_of("rules.schema.json", rules::rule_file_schema()) == rules::rule_file_schema());
}
