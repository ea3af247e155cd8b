#include "session/own_messages.hpp"

#include "pgmend/healing/premise.hpp"
#include "pgmend/wire/client_messages.hpp"

#include <initializer_list>
#include <utility>

namespace pgmend::session {

void append_own_parse(std::string& out, base::byte_view sql, std::vector<std::uint32_t> const& types) {
    wire::append_close_statement(out, own_name);
    wire::append_parse(out, own_name, sql, types);
}

void append_statement(std::string& out, base::byte_view sql, std::span<base::byte_view const> parameters) {
    append_own_parse(out, sql, {});
    wire::append_bind(out, own_name, own_name, parameters);
    wire::append_execute(out, own_name);
    wire::append_close_portal(out, own_name);
    wire::append_close_statement(out, own_name);
}

void expect_statement(answer_queue& queue) {
    for (auto const kind : statement_answers) queue.push({kind, true, {}});
}

std::size_t append_prepare_anew(std::string& out, base::byte_view statement, base::byte_view sql, std::vector<std::uint32_t> const& types) {
    append_own_parse(out, sql, types);
    wire::append_close_statement(out, own_name);
    wire::append_close_statement(out, statement);
    auto const begin = out.size();
    wire::append_parse(out, statement, sql, types);
    return begin;
}

std::vector<expected_answer> prepare_anew_answers(std::shared_ptr<answer_note const> note) {
    std::vector<expected_answer> out;
    for (auto const kind : {request_kind::close, request_kind::parse, request_kind::close, request_kind::close, request_kind::parse})
        out.push_back({kind, true, kind == request_kind::parse ? std::exchange(note, nullptr) : nullptr});
    return out;
}

void append_premise_statement(std::string& out) {
    wire::append_close_statement(out, own_premise);
    wire::append_parse(out, own_premise, healing::premise_sql, {});
}

void append_premise(std::string& out, std::vector<std::string> const& parameters) {
    std::vector<base::byte_view> const values(parameters.begin(), parameters.end());
    wire::append_bind(out, own_premise, own_premise, values);
    wire::append_execute(out, own_premise);
    wire::append_close_portal(out, own_premise);
}

std::vector<expected_answer> append_premises(std::string& out, bool prepares, std::vector<std::shared_ptr<healed_text const>> const& of) {
    std::vector<expected_answer> answers;
    auto const expect = [&](std::initializer_list<request_kind> kinds) {
        for (auto const kind : kinds) answers.push_back({kind, true, {}, 0, true});
    };
    if (prepares) {
        append_premise_statement(out);
        expect({request_kind::close, request_kind::parse});
    }
    for (auto const& text : of) {
        append_premise(out, text->plan.premise);
        expect({request_kind::bind, request_kind::execute, request_kind::close});
    }
    return answers;
}

} // namespace pgmend::session
