#include "app/folder_watch.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

using namespace pgmend;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// A directory, a watch on it, and how often it called.
struct watched {
    watched() {
        std::string pattern = (fs::temp_directory_path() / "pgmend-watch-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path = pattern;
        watch.set({path});
    }
    ~watched() { fs::remove_all(path); }

    void put(std::string const& name) const { std::ofstream{path / name} << "x"; }

    /// Runs until there were that many calls, at most 5 s; then a while more, so that one too many would show.
    int calls_until(int wanted) {
        auto const end = std::chrono::steady_clock::now() + 5s;
        while (calls < wanted && std::chrono::steady_clock::now() < end) context.run_one_for(100ms);
        context.run_for(wanted == 0 ? 400ms : 250ms);
        return calls;
    }

    fs::path path;
    int calls{0};
    boost::asio::io_context context{1};
    app::folder_watch watch{context, [this] { ++calls; }};
};

} // namespace

TEST_CASE("files that are saved one after the other are one change") {
    watched w;
    w.put("a.yaml");
    w.put("b.yaml");
    fs::rename(w.path / "a.yaml", w.path / "c.yaml");
    CHECK(w.calls_until(1) == 1);
    fs::remove(w.path / "b.yaml");
    CHECK(w.calls_until(2) == 2);
}

TEST_CASE("a file that is still being written is no change yet") {
    watched w;
    std::ofstream open{w.path / "a.yaml"};
    open << "half" << std::flush;
    CHECK(w.calls_until(0) == 0);
    open.close();
    CHECK(w.calls_until(1) == 1);
}

TEST_CASE("a directory that was taken away and is back is read again") {
    watched w;
    fs::remove_all(w.path);
    CHECK(w.calls_until(1) == 1);
    fs::create_directory(w.path);
    CHECK(w.calls_until(2) >= 2);
    auto const before = w.calls;
    w.put("a.yaml");
    CHECK(w.calls_until(before + 1) > before);
}

TEST_CASE("after a stop nothing is called") {
    watched w;
    w.put("a.yaml");
    w.watch.stop();
    CHECK(w.calls_until(0) == 0);
}
