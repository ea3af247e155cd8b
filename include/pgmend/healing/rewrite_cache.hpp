// What is known of texts: found by the exact text, never by a fingerprint.
#pragma once

#include "pgmend/base/time.hpp"
#include "pgmend/catalog/history.hpp"
#include "pgmend/healing/healed_text.hpp"
#include "pgmend/healing/question.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgmend::healing {

/// What the planner found out about one text, for one view of the session and one list of parameter types.
struct opinion {
    enum class kind_type : std::uint8_t {
        fits,    ///< send it as it is
        refused, ///< likewise: there is no heal (any more than the server's own error)
        heal,    ///< `text` instead
        silent,  ///< it resolves, but to something else than before
    };
    kind_type kind{kind_type::fits};
    std::uint32_t view{0};                          ///< number of the session view
    std::vector<catalog::oid> parameter_types;
    std::uint64_t generation{0};                    ///< of the schema it was made for
    std::uint64_t rules_generation{0};
    bool verified{false};                           ///< heal: PostgreSQL has accepted it
    base::time_point confirmed{};                   ///< heal: when it was last seen to refuse the original
    bool told{false};                               ///< it was logged
    std::shared_ptr<healed_text const> text;        ///< heal
    std::shared_ptr<silent_drift const> drift;      ///< silent
    std::shared_ptr<refusal const> reason;          ///< refused
    std::vector<std::string> identifiers;           ///< that it rests on
    std::shared_ptr<void const> note;               ///< what a session makes of it, kept with it
};

/// What a text is, whatever the schema.
struct cached_text {
    std::string text;
    std::size_t hash{0};              ///< of the text
    bool changes_session{false};      ///< names may mean something else in the session behind it
    bool begins_transaction{false};
    bool controls_transaction{false};
    bool ends_transaction{false};     ///< COMMIT, ROLLBACK or ROLLBACK TO among its statements
    bool guardable{false};            ///< one statement that reads or changes rows
    std::uint64_t masked{0};          ///< hash of its tokens without literals; 0: not made yet
    std::uint64_t scanned_at{0};      ///< stamp of the tripwire it was looked through with; 0: never
    bool trips{false};                ///< it mentions a name whose meaning changed, or that a rule is for
    std::string batch_of;             ///< table that it inserts into, where a rule wants its batches to be split; as of `scanned_at`
    bool used{false};                 ///< since the hand last passed (clock algorithm)
    std::vector<opinion> opinions;
};

/// Texts of one database and one worker, bounded in bytes; the ones not used for longest make room. Not thread-safe. A hit
/// costs one hash of the text and one comparison.
class rewrite_cache {
  public:
    static constexpr std::size_t most_opinions = 8; ///< of one text

    struct counters {
        std::uint64_t hits{0};
        std::uint64_t misses{0};
        std::uint64_t evicted{0};
        std::uint64_t outdated{0}; ///< opinions that died with a change of the schema
    };

    explicit rewrite_cache(std::size_t most_bytes) : most_bytes_{most_bytes} {}

    /// The entry of this text; a new one is made where there is none, classified. Valid until the next call.
    [[nodiscard]] cached_text& find(std::string_view text) { return find(text, text_hash(text)); }
    [[nodiscard]] cached_text& find(std::string_view text, std::size_t hash);
    /// The same, where there is one.
    [[nodiscard]] cached_text* known(std::string_view text, std::size_t hash);
    [[nodiscard]] static std::size_t text_hash(std::string_view text);

    /// The opinion that still holds, or nullptr. One that a change of the schema or of the rules has outdated is removed.
    [[nodiscard]] opinion* find(cached_text& of, std::uint32_t view, std::vector<catalog::oid> const& types,
                                catalog::history const& schema, std::uint64_t rules_generation);
    /// Replaces what was known for the same view and types.
    opinion& keep(cached_text& of, opinion made);

    /// Forgets every opinion, for what no generation tells (settings, patterns).
    void forget_opinions();

    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] std::size_t size() const { return by_text_.size(); }
    [[nodiscard]] counters const& counts() const { return counters_; }

  private:
    /// A text, and its hash: long ones are not hashed anew with each step.
    struct key {
        std::string_view text;
        std::size_t hash;
        bool operator==(key const& other) const { return hash == other.hash && text == other.text; }
    };
    struct hash_of {
        std::size_t operator()(key const& it) const { return it.hash; }
    };

    void make_room();
    [[nodiscard]] static std::size_t size_of(cached_text const& entry);
    [[nodiscard]] static std::size_t size_of(opinion const& it);

    std::size_t most_bytes_;
    std::size_t bytes_{0};
    std::size_t hand_{0};
    counters counters_;
    std::vector<std::unique_ptr<cached_text>> entries_; ///< in any order: the clock
    std::unordered_map<key, std::size_t, hash_of> by_text_; ///< keys point into the entries
};

} // namespace pgmend::healing
