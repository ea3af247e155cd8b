#include "pgmend/app/options.hpp"
#include "pgmend/app/serve.hpp"

#include <cstdio>
#include <exception>
#include <iostream>

int main(int count, char** arguments) {
    using namespace pgmend::app;
    try {
        auto const command = parse_options(count, arguments);
        if (auto const* const options = std::get_if<serve_options>(&command)) return serve(*options);
        if (auto const* const options = std::get_if<check_options>(&command)) return check(*options, std::cout, std::cerr);
        if (auto const* const options = std::get_if<install_options>(&command)) return install(*options, std::cout, std::cerr);
        if (auto const* const options = std::get_if<schema_options>(&command)) return schema_diff(*options, std::cout, std::cerr);
        if (auto const* const options = std::get_if<learn_options>(&command)) return learn(*options, std::cout, std::cerr);
        if (auto const* const options = std::get_if<explain_options>(&command)) return explain(*options, std::cout, std::cerr);
        if (auto const* const options = std::get_if<records_options>(&command)) return records(*options, std::cout, std::cerr);
        auto const& exit = std::get<exit_now>(command);
        std::fputs(exit.out_text.c_str(), stdout);
        std::fputs(exit.err_text.c_str(), stderr);
        return exit.status;
    } catch (std::exception const& failure) {
        std::fprintf(stderr, "pgmend: %s\n", failure.what());
        return status_failure;
    }
}
