#include "pgmend/session/database_judge.hpp"

#include "pgmend/healing/bound_labels.hpp"
#include "pgmend/session/batch.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace pgmend::session {
namespace {

constexpr std::size_t most_views = 1000;
constexpr std::size_t most_users = 1000;
constexpr std::size_t most_worked = 1U << 16;

/// All of a view as one text: each part says its own length.
std::string key_of(healing::session_view const& view) {
    std::string key;
    auto const put = [&](std::string_view part) { key.append(std::to_string(part.size())).append(":").append(part); };
    for (auto const& name : view.search_path) put(name);
    key += '|';
    for (auto const& name : view.temporary_relations) put(name);
    key += '|';
    put(view.client_encoding);
    put(view.role);
    key += view.standard_conforming_strings ? '1' : '0';
    return key;
}

} // namespace

healing::refusal needs_audit(healing::plan const& made) {
    return {"what the write would lose has to be kept in an audit record first: " + made.pattern, healing::refusal_kind::dropped, {}};
}

database_judge::database_judge(std::shared_ptr<base::published<catalog::history> const> schema, std::size_t most_cache_bytes)
    : source_{std::move(schema)}, reader_{*source_}, rules_{std::make_shared<rules::rule_set const>()},
      book_{std::make_shared<learning::pattern_book const>()}, cache_{most_cache_bytes} {}

void database_judge::refresh() {
    auto const& newest = reader_.get();
    if (newest == schema_) return;
    bool const first = schema_ == nullptr;
    schema_ = newest;
    if (first) cache_.forget_opinions();
    worked_.clear();
    build_tripwire();
}

void database_judge::configure(healing::settings const& settings, std::shared_ptr<rules::rule_set const> const& rules,
                               std::shared_ptr<learning::pattern_book const> const& book) {
    // The policy and the book decide what a plan may be used for. Mere counts in the book do not.
    bool const same_book = !book || book->generation() == book_->generation();
    bool const same_settings = settings == settings_;
    bool const same_rules = !rules || rules == rules_;
    if (book) book_ = book;
    if (same_book && same_settings && same_rules) return;
    if (!same_book || !same_settings) cache_.forget_opinions();
    settings_ = settings;
    if (!same_rules) rules_ = rules;
    build_tripwire();
}

/// Every name whose meaning differs between any two versions that are known, and those of the rules.
void database_judge::build_tripwire() {
    ++stamp_;
    std::vector<std::string> names;
    if (schema_) {
        auto const& steps = schema_->steps();
        for (std::size_t i = 1; i < steps.size(); ++i) names.insert(names.end(), steps[i]->names.begin(), steps[i]->names.end());
        auto const& functions = schema_->current().functions();
        views_do_not_last_ = std::any_of(functions.begin(), functions.end(), [](auto const& it) { return it->changes_session; });
    }
    if (rules_) names.insert(names.end(), rules_->names().begin(), rules_->names().end());
    auto const set_of = [](std::vector<std::string>& words) {
        std::sort(words.begin(), words.end());
        words.erase(std::unique(words.begin(), words.end()), words.end());
        return sql::name_set{words};
    };
    collect_old_labels();
    names_ = {};
    if (rules_ && !rules_->statement_words().empty()) {
        names_ = set_of(names);
        names.insert(names.end(), rules_->statement_words().begin(), rules_->statement_words().end());
    }
    tripwire_ = set_of(names);
}

void database_judge::collect_old_labels() {
    old_labels_.clear();
    if (!schema_) return;
    auto const& now = schema_->current();
    for (auto const& version : schema_->versions()) {
        if (version->identity() != now.identity()) continue;
        for (auto const& type : version->types()) {
            if (type->labels.empty()) continue;
            auto const* is = now.find_type(type->id);
            if (is == nullptr || is == type.get()) continue; // of a type that is gone nothing can be said
            for (auto const& it : type->labels) {
                bool const lives_on = std::any_of(is->labels.begin(), is->labels.end(), [&](auto const& one) { return one.label == it.label; });
                if (!lives_on) old_labels_.insert(it.label);
            }
        }
    }
    for (auto const& it : rules_->rules()) {
        if (auto const* says = std::get_if<rules::label_renamed>(&it.does); says != nullptr && it.mode != rules::rule_mode::off) old_labels_.insert(says->label);
    }
}

bool database_judge::may_have_old_label(base::byte_view value) const {
    constexpr std::size_t longest_label = 63; // NAMEDATALEN - 1
    if (value.size() <= longest_label && old_labels_.contains(value)) return true;
    auto const first = value.substr(0, value.find_first_not_of(" \t\n\r\v\f") + 1);
    bool const array = value.starts_with('\0') || first.ends_with('{');
    if (!array) return false;
    bool found = false;
    (void)healing::with_labels(value, true, [&](base::byte_view label) -> std::optional<std::string> {
        found = found || (label.size() <= longest_label && old_labels_.contains(label));
        return std::nullopt;
    });
    return found;
}

/// One pass over most texts, however many rules there are.
bool database_judge::trips(std::string_view sql) const {
    bool const mentioned = sql::mentions(sql, tripwire_);
    if (!rules_->has_statements()) return mentioned;
    if (mentioned && (rules_->statement_words().empty() || sql::mentions(sql, names_))) return true;
    if (!mentioned && !rules_->has_wordless_statements()) return false;
    // Of several statements one may be meant.
    auto const end = sql.find(';');
    bool const several = end != std::string_view::npos && sql.find_first_not_of("; \t\r\n", end) != std::string_view::npos;
    return several || rules_->may_match(rules::scanned_text{sql});
}

bool database_judge::trips(healing::cached_text& text) {
    if (text.scanned_at == stamp_) return text.trips;
    text.trips = trips(std::string_view{text.text});
    text.batch_of = text.trips ? batch_of(std::string_view{text.text}) : std::string{};
    text.scanned_at = stamp_;
    return text.trips;
}

bool database_judge::is_of_no_interest(std::string_view sql, std::size_t hash) {
    if (seen_once_.empty()) seen_once_.resize(most_seen_once);
    auto& place = seen_once_[hash % most_seen_once];
    if (place == hash) return false; // here it is again
    place = hash;
    return sql::plain_statement(sql) != sql::statement_kind::empty && !trips(sql);
}

std::string database_judge::batch_of(std::string_view sql) const {
    if (!rules_->has_batches()) return {};
    auto table = table_inserted_into(sql);
    return table && rules_->splits(*table) ? std::move(*table) : std::string{};
}

std::string const& database_judge::batch_of(healing::cached_text& text) {
    static std::string const none;
    return rules_->has_batches() && trips(text) ? text.batch_of : none;
}

std::uint64_t database_judge::masked(healing::cached_text& text) {
    if (text.masked == 0) {
        auto const digits = healing::fingerprint(text.text);
        std::from_chars(digits.data(), digits.data() + digits.size(), text.masked, 16);
        if (text.masked == 0) text.masked = 1;
    }
    return text.masked;
}

healing::opinion* database_judge::known(healing::cached_text& text, std::uint32_t view, std::vector<catalog::oid> const& types) {
    if (!schema_) return nullptr;
    return cache_.find(text, view, types, *schema_, rules_->generation());
}

healing::opinion& database_judge::judge(healing::cached_text& text, std::uint32_t view, std::vector<catalog::oid> const& types,
                                        rules::circumstances const& who) {
    healing::question question{text.text, this->view(view), types, {}, {}, {}, {}, who};
    auto verdict = healing::judge(question, {.schema = schema_.get(), .rules = rules_.get(), .book = book_.get(), .policy = settings_.policy});
    healing::opinion made;
    made.view = view;
    made.parameter_types = types;
    made.generation = schema_->generation();
    made.rules_generation = rules_->generation();
    if (auto* const plan = std::get_if<healing::plan>(&verdict); plan != nullptr && !plan->losses.empty()) {
        verdict = needs_audit(*plan);
    }
    if (auto* const plan = std::get_if<healing::plan>(&verdict)) {
        made.kind = healing::opinion::kind_type::heal;
        made.identifiers = plan->identifiers;
        made.text = std::make_shared<healing::healed_text const>(healing::make_healed_text(std::move(*plan), text.text));
    } else {
        made.identifiers = healing::identifiers(text.text);
        if (auto* const refused = std::get_if<healing::refusal>(&verdict)) {
            made.kind = healing::opinion::kind_type::refused;
            made.reason = std::make_shared<healing::refusal const>(std::move(*refused));
        } else if (auto& fits = std::get<healing::fits>(verdict); fits.drift) {
            made.kind = healing::opinion::kind_type::silent;
            made.drift = std::make_shared<healing::silent_drift const>(std::move(*fits.drift));
        }
    }
    return cache_.keep(text, std::move(made));
}

void database_judge::learn(std::string_view sql, healing::session_view const& view, rules::circumstances const& who,
                           std::vector<catalog::oid> const& types, std::shared_ptr<healing::healed_text const> healed, base::time_point now) {
    refresh();
    auto const number = number_of(view, who);
    if (!schema_) return;
    auto& entry = cache_.find(sql);
    entry.scanned_at = 0; // by the newest tripwire
    healing::opinion made;
    made.kind = healing::opinion::kind_type::heal;
    made.view = number;
    made.parameter_types = types;
    made.generation = schema_->generation();
    made.rules_generation = rules_->generation();
    made.verified = true;
    made.confirmed = now;
    made.identifiers = healed->plan.identifiers;
    made.text = std::move(healed);
    cache_.keep(entry, std::move(made));
}

std::uint32_t database_judge::number_of(healing::session_view const& view, rules::circumstances const& who) {
    auto key = key_of(view);
    if (!rules_->empty()) {
        key.append(1, '|').append(who.user).append(1, '\0').append(who.application_name).append(1, '\0');
        key += std::to_string(std::chrono::floor<std::chrono::days>(who.now).time_since_epoch().count()); // rules expire
    }
    if (auto const found = numbers_.find(key); found != numbers_.end()) return found->second;
    if (views_.size() >= most_views) {
        views_.clear(); // and with them all that was said about them
        numbers_.clear();
        cache_.forget_opinions();
        ++stamp_;
    }
    views_.push_back(std::make_unique<healing::session_view const>(view));
    return numbers_[key] = static_cast<std::uint32_t>(views_.size());
}

healing::session_view const* database_judge::usual_view(std::string const& user) const {
    auto const found = usual_views_.find(user);
    return found == usual_views_.end() ? nullptr : &found->second;
}

void database_judge::note_usual_view(std::string const& user, healing::session_view const& view) {
    if (usual_views_.size() < most_users || usual_views_.contains(user)) usual_views_.insert_or_assign(user, view);
}

void database_judge::note_worked(std::uint64_t masked) {
    if (worked_.size() >= most_worked) worked_.clear();
    worked_.insert(masked);
}

} // namespace pgmend::session
