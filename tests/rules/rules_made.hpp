// Rules for tests, in short.
#pragma once

#include "pgmend/rules/rule_set.hpp"

#include <utility>

namespace pgmend::rules {

inline rule made(std::string name, action does) {
    rule out;
    out.name = std::move(name);
    out.does = std::move(does);
    return out;
}

inline statement_replaced replacing(std::string statement, std::string now) {
    return {statement_shape::compile(std::move(statement)).value(), replacement_text::compile(std::move(now)).value()};
}

inline circumstances who() { return {"shop", "app", "web", std::chrono::sys_days{std::chrono::year{2026} / 6 / 1}}; }

} // namespace pgmend::rules
