#include "pgmend/healing/rewrite_cache.hpp"

#include "pgmend/sql/facts.hpp"

#include <algorithm>
#include <utility>

namespace pgmend::healing {
namespace {

using sql::statement_kind;

bool ends_transaction(statement_kind kind) {
    return kind == statement_kind::commit || kind == statement_kind::rollback || kind == statement_kind::rollback_to ||
           kind == statement_kind::prepare_transaction;
}

void classify(cached_text& entry) {
    if (auto const kind = sql::plain_statement(entry.text); kind != statement_kind::empty) {
        entry.guardable = sql::is_of_rows(kind);
        return; // and nothing else
    }
    auto const facts = sql::classify(entry.text);
    // Where statements end cannot be told: it may be anything.
    bool const unsure = !facts.complete || facts.depends_on_backslashes;
    entry.changes_session = unsure || facts.changes_session_meaning();
    entry.controls_transaction = unsure || facts.controls_transaction();
    entry.ends_transaction = unsure;
    for (auto const& statement : facts.statements) {
        if (ends_transaction(statement.kind)) entry.ends_transaction = true;
        if (statement.kind == statement_kind::begin) entry.begins_transaction = true;
        // EXECUTE and the like run texts that were not looked at.
        if (statement.kind == statement_kind::execute || statement.kind == statement_kind::other) entry.controls_transaction = entry.ends_transaction = true;
    }
    entry.guardable = !unsure && facts.statements.size() == 1 && sql::is_of_rows(facts.kind()) && !facts.controls_transaction();
}

} // namespace

std::size_t rewrite_cache::size_of(cached_text const& entry) {
    std::size_t bytes = sizeof(cached_text) + entry.text.capacity() + 80; // 80: its place in the index
    for (auto const& it : entry.opinions) bytes += size_of(it);
    return bytes;
}

std::size_t rewrite_cache::size_of(opinion const& it) {
    std::size_t bytes = sizeof(opinion) + it.parameter_types.size() * sizeof(catalog::oid);
    for (auto const& name : it.identifiers) bytes += sizeof(std::string) + name.size();
    if (it.text) bytes += sizeof(healed_text) + 5 * it.text->original.size() + 2 * it.text->plan.sql.size() + 256;
    return bytes;
}

std::size_t rewrite_cache::text_hash(std::string_view text) { return std::hash<std::string_view>{}(text); }

cached_text* rewrite_cache::known(std::string_view text, std::size_t hash) {
    auto const found = by_text_.find({text, hash});
    if (found == by_text_.end()) return nullptr;
    ++counters_.hits;
    auto& entry = *entries_[found->second];
    entry.used = true;
    return &entry;
}

/// A statement that is asked about for a second time, once the server has said something, is no second hit: so many would hide that no text is known.
cached_text& rewrite_cache::find(std::string_view text, std::size_t hash) {
    if (auto const found = by_text_.find({text, hash}); found != by_text_.end()) {
        auto& entry = *entries_[found->second];
        entry.used = true;
        return entry;
    }
    ++counters_.misses;
    auto made = std::make_unique<cached_text>();
    made->text = text;
    made->hash = hash;
    classify(*made);
    bytes_ += size_of(*made);
    make_room();
    by_text_.emplace(key{made->text, hash}, entries_.size());
    entries_.push_back(std::move(made));
    return *entries_.back();
}

void rewrite_cache::make_room() {
    while (bytes_ > most_bytes_ && !entries_.empty()) {
        if (hand_ >= entries_.size()) hand_ = 0;
        auto& entry = entries_[hand_];
        if (std::exchange(entry->used, false)) {
            ++hand_;
            continue;
        }
        ++counters_.evicted;
        bytes_ -= size_of(*entry);
        by_text_.erase({entry->text, entry->hash});
        if (hand_ + 1 != entries_.size()) {
            entry = std::move(entries_.back());
            by_text_.at({entry->text, entry->hash}) = hand_;
        }
        entries_.pop_back();
    }
}

opinion* rewrite_cache::find(cached_text& of, std::uint32_t view, std::vector<catalog::oid> const& types,
                             catalog::history const& schema, std::uint64_t rules_generation) {
    auto const found = std::find_if(of.opinions.begin(), of.opinions.end(),
                                    [&](opinion const& it) { return it.view == view && it.parameter_types == types; });
    if (found == of.opinions.end()) return nullptr;
    auto const now = schema.generation();
    bool holds = found->rules_generation == rules_generation;
    if (holds && found->generation != now) {
        holds = !schema.touched_since(found->generation).any_of(found->identifiers);
        if (holds) found->generation = now;
    }
    if (holds) return &*found;
    ++counters_.outdated;
    bytes_ -= size_of(*found);
    of.opinions.erase(found);
    return nullptr;
}

opinion& rewrite_cache::keep(cached_text& of, opinion made) {
    auto const same = std::find_if(of.opinions.begin(), of.opinions.end(), [&](opinion const& it) {
        return it.view == made.view && it.parameter_types == made.parameter_types;
    });
    bytes_ += size_of(made);
    if (same != of.opinions.end()) {
        bytes_ -= size_of(*same);
        *same = std::move(made);
        return *same;
    }
    if (of.opinions.size() == most_opinions) {
        bytes_ -= size_of(of.opinions.front());
        of.opinions.erase(of.opinions.begin());
    }
    of.opinions.push_back(std::move(made));
    return of.opinions.back();
}

void rewrite_cache::forget_opinions() {
    for (auto& entry : entries_) {
        for (auto const& it : entry->opinions) bytes_ -= size_of(it);
        entry->opinions.clear();
        entry->scanned_at = 0;
    }
}

} // namespace pgmend::healing
