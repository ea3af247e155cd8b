#include "healing/case_file.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace pgmend::healing::testing {
namespace {

std::string trimmed(std::string const& text) {
    auto const begin = text.find_first_not_of(" \n");
    if (begin == std::string::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \n") - begin + 1);
}

std::vector<std::string> words(std::string const& text) {
    std::istringstream in{text};
    std::vector<std::string> out;
    for (std::string word; in >> word;) out.push_back(word);
    return out;
}

} // namespace

// The format is described at the head of tests/cases/README.
std::vector<healing_case> read_cases(std::string const& directory) {
    std::vector<std::filesystem::path> files;
    for (auto const& entry : std::filesystem::directory_iterator{directory}) {
        if (entry.path().extension() == ".heal") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::vector<healing_case> all;
    for (auto const& path : files) {
        std::ifstream in{path};
        healing_case shared;
        shared.file = path.filename().string();
        std::string* into = nullptr;
        std::string ignored;
        bool in_case = false;
        for (std::string line; std::getline(in, line);) {
            if (line.starts_with("#")) continue;
            if (!line.starts_with("@")) {
                if (into != nullptr) *into += line + "\n";
                continue;
            }
            auto const blank = line.find(' ');
            auto const tag = line.substr(1, blank == std::string::npos ? blank : blank - 1);
            auto const rest = blank == std::string::npos ? std::string{} : line.substr(blank + 1);
            if (tag == "schema") {
                shared.versions.assign(1, {});
                shared.search_path = {"pg_catalog", "public"};
                shared.temporary.clear();
                shared.rules.clear();
                shared.who.clear();
                shared.forgotten = false;
                into = &shared.versions.back();
                in_case = false;
            } else if (tag == "migration") {
                shared.versions.emplace_back();
                into = &shared.versions.back();
            } else if (tag == "rows") {
                into = &ignored;
            } else if (tag == "rules") {
                shared.rules.clear();
                into = &shared.rules;
            } else if (tag == "who") {
                shared.who = words(rest);
                into = nullptr;
            } else if (tag == "forgotten") {
                shared.forgotten = true;
                into = nullptr;
            } else if (tag == "search_path") {
                shared.search_path = words("pg_catalog " + rest);
            } else if (tag == "temporary") {
                shared.temporary = words(rest);
            } else if (tag == "case") {
                all.push_back(shared);
                all.back().name = rest;
                into = &all.back().sql;
                in_case = true;
            } else if (tag == "gives" && in_case) {
                into = &all.back().gives.emplace();
            } else if (tag == "edits" && in_case) {
                all.back().before = true;
                into = &all.back().gives.emplace();
            } else if (tag == "passes" && in_case) {
                all.back().before = all.back().passes = true;
                into = nullptr;
            } else if (tag == "proposed" && in_case) {
                into = &all.back().proposed.emplace();
            } else if (tag == "silent" && in_case) {
                all.back().before = true;
                into = &all.back().silent.emplace();
            } else if (tag == "refused" && in_case) {
                into = &all.back().refused.emplace();
            } else if (tag == "error" && in_case) {
                auto const fields = words(rest);
                all.back().sqlstate = fields.at(0);
                all.back().routine = fields.at(1);
                all.back().shape_only = fields[0] == "0A000";
                if (fields.size() > 2) all.back().position = static_cast<std::uint32_t>(std::stoul(fields[2]));
                into = nullptr;
            } else {
                throw std::runtime_error{path.string() + ": what is " + line};
            }
        }
    }
    for (auto& it : all) {
        it.sql = trimmed(it.sql);
        if (it.gives) it.gives = trimmed(*it.gives);
        if (it.proposed) it.proposed = trimmed(*it.proposed);
        if (it.silent) it.silent = trimmed(*it.silent);
        if (it.refused) it.refused = trimmed(*it.refused);
    }
    return all;
}

} // namespace pgmend::healing::testing
