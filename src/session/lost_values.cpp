#include "pgmend/session/lost_values.hpp"

#include "pgmend/healing/planner.hpp"
#include "pgmend/sql/lexer.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace pgmend::session {
namespace {

struct parameter {
    std::string text;
    bool is_null{false};
};
using parameters = std::vector<parameter>;

/// A Bind's parameters, as an audit record has them. Nothing: the message is not well-formed.
std::optional<parameters> read_bind(base::byte_view body) {
    auto const bound = wire::read_bind(body);
    if (!bound) return std::nullopt;
    parameters out;
    for (std::size_t i = 0; i < bound->values.size(); ++i) {
        auto const& value = bound->values[i];
        if (!value) {
            out.push_back({{}, true});
        } else if (!bound->is_binary(i)) {
            out.push_back({std::string{*value}, false});
        } else {
            std::string digits = "\\x";
            for (char const c : *value) fmt::format_to(std::back_inserter(digits), "{:02x}", static_cast<unsigned char>(c));
            out.push_back({std::move(digits), false});
        }
    }
    return out;
}

/// Constants and parameters, with a sign and casts: what is written there is the value. Nothing else is.
std::optional<std::vector<std::uint32_t>> parameters_in(std::string_view expression) {
    std::vector<std::uint32_t> out;
    auto const tokens = sql::scan(expression);
    if (!tokens.complete) return std::nullopt;
    bool type_follows = false;
    for (auto const& it : tokens.tokens) {
        auto const text = expression.substr(it.begin, it.end - it.begin);
        switch (it.kind) {
        case sql::token_kind::string:
        case sql::token_kind::number: break;
        case sql::token_kind::parameter: {
            std::uint32_t n = 0;
            std::from_chars(text.data() + 1, text.data() + text.size(), n);
            if (n == 0) return std::nullopt;
            out.push_back(n);
            break;
        }
        case sql::token_kind::word:
        case sql::token_kind::quoted: {
            bool constant = type_follows;
            for (auto const* word : {"null", "true", "false", "default"}) constant = constant || sql::is_word(expression, it, word);
            if (!constant) return std::nullopt;
            continue; // a type of several words: timestamp with time zone
        }
        case sql::token_kind::operator_name:
            if (text == "::") {
                type_follows = true;
                continue;
            }
            if (text != "-" && text != "+") return std::nullopt;
            break;
        case sql::token_kind::punctuation:
            if (text == ":") { // the scanner's :: are two
                type_follows = true;
                continue;
            }
            if (text == "(" || text == ")" || text == "," || text == "." || text == "[" || text == "]") continue;
            return std::nullopt;
        }
        type_follows = false;
    }
    return out;
}

std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (char const c : text) {
        auto const byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') out.append({'\\', c});
        else if (byte < 0x20) fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
        else out += c;
    }
    return out += '"';
}

std::string json_array(parameters const& all) {
    std::string out = "[";
    for (auto const& it : all) out.append(out.size() > 1 ? "," : "").append(it.is_null ? "null" : json_text(it.text));
    return out += ']';
}

base::error incomplete(std::string_view why) {
    return base::fail(base::errc::not_supported, fmt::format("what the write would lose cannot be kept in an audit record: {}", why));
}

} // namespace

base::result<state::audit_row> lost_values(failed_request const& request, std::uint32_t text, base::byte_view sql, healing::plan const& plan) {
    state::audit_row out;
    out.before = sql;
    out.after = healing::normalized(plan.sql);
    out.fingerprint = healing::fingerprint(sql);
    out.pattern = plan.pattern;
    auto const frame = message_at(request.request, text);
    if (frame.empty()) return incomplete("the statement was prepared by an earlier request");
    bool const extended = frame[0] == 'P';
    std::vector<parameters> executions(extended ? 0 : 1);
    if (extended) {
        // Whatever is executed of it has to be in sight: what a later request binds would be lost without a record.
        if (request.open) return incomplete("the request is not complete");
        auto const parsed = wire::read_parse(wire::body_of(frame));
        if (!parsed || !parsed->statement.empty()) return incomplete("a named statement may be executed again");
        for (auto i = text + 1;; ++i) {
            auto const next = message_at(request.request, i);
            if (next.empty()) break;
            wire::cursor in{wire::body_of(next)};
            if (next[0] == 'P' && in.text().empty()) break; // another one from here on
            if (next[0] != 'B') continue;
            (void)in.text();
            if (!in.text().empty()) continue;
            auto bound = read_bind(wire::body_of(next));
            if (!bound) return incomplete("a Bind message is not well-formed");
            executions.push_back(std::move(*bound));
        }
        if (executions.empty()) return incomplete("the statement is only prepared, and may be executed later");
        out.parameters = "[";
        for (auto const& it : executions) out.parameters.append(out.parameters.size() > 1 ? "," : "").append(json_array(it));
        out.parameters += ']';
    }
    for (auto const& bound : executions) {
        for (auto const& loss : plan.losses) {
            std::uint32_t row = 0;
            for (auto const& value : loss.values) {
                auto const numbers = parameters_in(value.text);
                if (!numbers) return incomplete(fmt::format("what is written to {} is computed", loss.column));
                if (numbers->empty()) out.values.push_back({loss.column, row, value.text, value.text, false});
                for (auto const n : *numbers) {
                    if (n > bound.size()) return incomplete("a parameter has no value");
                    out.values.push_back({loss.column, row, value.text, bound[n - 1].text, bound[n - 1].is_null});
                }
                ++row;
            }
        }
    }
    return out;
}

} // namespace pgmend::session
