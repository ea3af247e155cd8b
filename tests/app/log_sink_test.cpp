#include "pgmend/app/log_sink.hpp"
#include "pgmend/base/time.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <vector>

using namespace pgmend;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

struct directory {
    directory() {
        std::string pattern = (fs::temp_directory_path() / "pgmend-log-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path = pattern;
    }
    ~directory() { fs::remove_all(path); }
    fs::path path;
};

struct pipe_pair {
    pipe_pair() {
        int both[2];
        if (::pipe(both) != 0) throw std::runtime_error("pipe");
        read_end = both[0];
        write_end = both[1];
    }
    ~pipe_pair() {
        ::close(read_end);
        ::close(write_end);
    }
    /// What is in the pipe now.
    std::string read_all() const {
        ::fcntl(read_end, F_SETFL, O_NONBLOCK);
        std::string out;
        char room[65536];
        for (ssize_t n = 0; (n = ::read(read_end, room, sizeof room)) > 0;) out.append(room, static_cast<std::size_t>(n));
        return out;
    }
    int read_end;
    int write_end;
};

config::log_settings to_file(fs::path const& file) {
    config::log_settings s;
    s.format = config::log_format::text;
    s.file = file.string();
    return s;
}

std::string content(fs::path const& file) {
    std::ostringstream out;
    out << std::ifstream{file}.rdbuf();
    return out.str();
}

std::size_t count(std::string const& text, std::string_view what) {
    std::size_t n = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
}

void say(app::log_sink& sink, std::string_view event, std::int64_t n = 0, base::log_level level = base::log_level::info) {
    base::log_field const fields[] = {{"n", n}};
    sink.write(level, event, fields, 1);
}

} // namespace

TEST_CASE("at start-up an event is written before write returns, and none is suppressed") {
    directory const d;
    app::log_sink sink{to_file(d.path / "p.log")};
    for (int i = 0; i < 1000; ++i) say(sink, "config.rejected", i, base::log_level::error);
    auto const text = content(d.path / "p.log");
    CHECK(count(text, " ERROR config.rejected n=") == 1000);
    CHECK(count(text, "\n") == 1000);
}

TEST_CASE("in the background events arrive in order") {
    directory const d;
    app::log_sink sink{to_file(d.path / "p.log")};
    say(sink, "proxy.started");
    sink.run_in_background();
    for (int i = 0; i < 100; ++i) say(sink, "client.connected", i);
    REQUIRE(sink.drain(10s));
    auto const text = content(d.path / "p.log");
    CHECK(count(text, "\n") == 101);
    CHECK(text.find("proxy.started") < text.find("client.connected n=0"));
    CHECK(text.find("client.connected n=98") < text.find("client.connected n=99"));
}

TEST_CASE("automatic is JSON where there is no terminal") {
    pipe_pair const p;
    app::log_sink sink{{}, p.write_end};
    say(sink, "e");
    CHECK(p.read_all().find(R"(,"level":"info","event":"e","n":0})") != std::string::npos);
}

TEST_CASE("a blocked reader never blocks a writer, and the loss is reported") {
    pipe_pair const p;
    {
        app::log_sink sink{{}, p.write_end};
        sink.run_in_background();
        // Names of their own, so that the limit of each event does not hide the queue's bound.
        auto const begin = base::steady::now();
        for (int event = 0; event < 100; ++event)
            for (int i = 0; i < 190; ++i) say(sink, "event" + std::to_string(event), i);
        CHECK(base::steady::now() - begin < 10s);
        // Read until everything that is left has come.
        std::string text;
        for (int i = 0; i < 5000 && !sink.drain(1ms); ++i) text += p.read_all();
        REQUIRE(sink.drain(10s));
        text += p.read_all();
        constexpr std::string_view report = R"("event":"log.dropped","count":)";
        std::size_t dropped = 0;
        for (auto at = text.find(report); at != std::string::npos; at = text.find(report, at + 1)) dropped += std::stoul(text.substr(at + report.size()));
        CHECK(dropped > 0);
        CHECK(count(text, R"("event":"event)") + dropped == 19000);
        CHECK(text.find(R"("event":"event99","n":189})") != std::string::npos); // the newest are kept
    }
}

TEST_CASE("a blocked reader does not hold up the end") {
    pipe_pair const p;
    auto const begin = base::steady::now();
    {
        app::log_sink sink{{}, p.write_end};
        sink.run_in_background();
        for (int event = 0; event < 20; ++event)
            for (int i = 0; i < 190; ++i) say(sink, "event" + std::to_string(event), i);
    }
    CHECK(base::steady::now() - begin < 10s);
}

TEST_CASE("a reader that went away does no harm") {
    pipe_pair p;
    ::close(p.read_end);
    p.read_end = -1;
    app::log_sink sink{{}, p.write_end};
    sink.run_in_background();
    for (int i = 0; i < 10; ++i) say(sink, "e", i);
    CHECK(sink.drain(10s));
}

TEST_CASE("too many events of one name are suppressed and counted") {
    directory const d;
    {
        app::log_sink sink{to_file(d.path / "p.log")};
        sink.run_in_background();
        for (int i = 0; i < 500; ++i) say(sink, "client.connected", i);
        say(sink, "client.rejected");
    }
    auto const text = content(d.path / "p.log");
    auto const written = count(text, " client.connected ");
    CHECK(written >= app::log_sink::most_lines_per_second);
    CHECK(count(text, " client.rejected ") == 1);
    CHECK(text.find(std::to_string(500 - written) + " more client.connected") != std::string::npos);
}

TEST_CASE("a rotated file is opened again under its name") {
    directory const d;
    auto const file = d.path / "p.log";
    app::log_sink sink{to_file(file)};
    bool const background = GENERATE(false, true);
    if (background) sink.run_in_background();
    say(sink, "before");
    REQUIRE(sink.drain(10s));
    fs::rename(file, d.path / "p.log.1");
    REQUIRE(sink.reopen().has_value());
    REQUIRE(sink.drain(10s));
    CHECK(fs::exists(file)); // without waiting for the next event
    say(sink, "after");
    REQUIRE(sink.drain(10s));
    CHECK(content(d.path / "p.log.1").find("before") != std::string::npos);
    CHECK(content(file).find("after") != std::string::npos);
    CHECK(content(file).find("before") == std::string::npos);
}

TEST_CASE("if a file cannot be opened, the old one stays in use") {
    directory const d;
    app::log_sink sink{to_file(d.path / "p.log")};
    sink.run_in_background();
    auto const failed = sink.apply(to_file(d.path / "no" / "p.log"));
    REQUIRE(failed.has_error());
    CHECK(failed.error().text == "cannot open the log file " + (d.path / "no" / "p.log").string() + ": No such file or directory");
    say(sink, "still.here");
    REQUIRE(sink.drain(10s));
    CHECK(content(d.path / "p.log").find("still.here") != std::string::npos);
    CHECK_THROWS_AS(app::log_sink{to_file(d.path / "no" / "p.log")}, std::system_error);
}

TEST_CASE("format and file can be changed while running") {
    directory const d;
    app::log_sink sink{to_file(d.path / "a.log")};
    sink.run_in_background();
    say(sink, "one");
    auto next = to_file(d.path / "b.log");
    next.format = config::log_format::json;
    REQUIRE(sink.drain(10s));
    REQUIRE(sink.apply(next).has_value());
    say(sink, "two");
    REQUIRE(sink.drain(10s));
    CHECK(content(d.path / "a.log").find(" one n=0") != std::string::npos);
    CHECK(content(d.path / "b.log").find(R"("event":"two")") != std::string::npos);
    CHECK((fs::status(d.path / "b.log").permissions() & fs::perms::others_all) == fs::perms::none);
}

TEST_CASE("many threads may write at once") {
    directory const d;
    {
        app::log_sink sink{to_file(d.path / "p.log")};
        say(sink, "proxy.started");
        sink.run_in_background();
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&sink, t] {
                for (int i = 0; i < 150; ++i) say(sink, "event" + std::to_string(t), i);
            });
    }
    CHECK(count(content(d.path / "p.log"), "\n") == 601);
}
