#include "pgmend/yaml/document.hpp"

#include "pgmend/base/utf8.hpp"
#include "pgmend/yaml/suggestion.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace pgmend::yaml {
namespace {

/// Ends the parser from inside one of its events.
struct give_up {
    mistake why;
};

/// yaml-cpp counts bytes, people count characters.
class line_index {
  public:
    explicit line_index(std::string_view text) : text_{text}, begins_{0} {
        for (std::size_t i = 0; i < text.size(); ++i)
            if (text[i] == '\n') begins_.push_back(i + 1);
    }

    [[nodiscard]] position at(YAML::Mark const& mark) const {
        if (mark.is_null() || mark.line < 0 || mark.column < 0) return {};
        auto const line = std::min(static_cast<std::size_t>(mark.line), begins_.size() - 1);
        return of_byte(line, begins_[line] + static_cast<std::size_t>(mark.column));
    }

    [[nodiscard]] position at_byte(std::size_t byte) const {
        auto const next = std::upper_bound(begins_.begin(), begins_.end(), byte);
        return of_byte(static_cast<std::size_t>(next - begins_.begin()) - 1, byte);
    }

  private:
    [[nodiscard]] position of_byte(std::size_t line, std::size_t byte) const {
        auto const upto = text_.substr(begins_[line], byte - begins_[line]);
        auto const characters = std::count_if(upto.begin(), upto.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
        return {static_cast<std::uint32_t>(line + 1), static_cast<std::uint32_t>(characters + 1)};
    }

    std::string_view text_;
    std::vector<std::size_t> begins_;
};

class tree_builder final : public YAML::EventHandler {
  public:
    tree_builder(line_index const& lines, limits within, std::vector<mistake>& mistakes) : lines_{lines}, within_{within}, mistakes_{mistakes} {}

    [[nodiscard]] node_pointer root() const { return root_; }
    [[nodiscard]] position begin() const { return begin_; }

    void OnDocumentStart(YAML::Mark const& mark) override { begin_ = lines_.at(mark); }
    void OnDocumentEnd() override {}
    void OnNull(YAML::Mark const& mark, YAML::anchor_t anchor) override { leaf(node_kind::null, mark, anchor, {}); }
    void OnScalar(YAML::Mark const& mark, std::string const&, YAML::anchor_t anchor, std::string const& text) override {
        leaf(node_kind::scalar, mark, anchor, text);
    }
    void OnAlias(YAML::Mark const& mark, YAML::anchor_t anchor) override {
        auto const found = anchors_.find(anchor);
        if (found == anchors_.end()) throw give_up{{lines_.at(mark), "an alias inside of what it stands for"}};
        add(found->second, lines_.at(mark));
    }
    void OnSequenceStart(YAML::Mark const& mark, std::string const&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
        open(node_kind::sequence, mark, anchor);
    }
    void OnMapStart(YAML::Mark const& mark, std::string const&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
        open(node_kind::mapping, mark, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override { close(); }

  private:
    struct key {
        std::optional<std::string> text; ///< nothing: a key that is no plain text; its value is left out
        position where;
    };
    struct unfinished {
        std::shared_ptr<node> value;
        YAML::anchor_t anchor{0};
        std::optional<key> pending{}; ///< a mapping's key that waits for its value
        std::unordered_map<std::string, std::uint32_t> lines{}; ///< of a mapping's keys
    };

    void leaf(node_kind kind, YAML::Mark const& mark, YAML::anchor_t anchor, std::string const& text) {
        auto made = std::make_shared<node>();
        made->kind = kind;
        made->where = lines_.at(mark);
        made->text = text;
        if (anchor != 0) anchors_[anchor] = made;
        add(made, made->where);
    }

    void open(node_kind kind, YAML::Mark const& mark, YAML::anchor_t anchor) {
        auto made = std::make_shared<node>();
        made->kind = kind;
        made->where = lines_.at(mark);
        if (stack_.size() >= within_.most_depth) throw give_up{{made->where, fmt::format("more than {} levels deep", within_.most_depth)}};
        stack_.push_back({std::move(made), anchor});
    }

    void close() {
        auto done = std::move(stack_.back());
        stack_.pop_back();
        if (done.anchor != 0) anchors_[done.anchor] = done.value;
        add(done.value, done.value->where);
    }

    void add(node_pointer const& value, position where) {
        if (stack_.empty()) {
            root_ = value;
            return;
        }
        auto& parent = stack_.back();
        parent.value->weight += value->weight;
        // Open collections are not yet part of their parents' weight, hence the count over all of them.
        total_ += value->weight;
        if (parent.value->weight > within_.most_nodes || total_ > within_.most_depth * within_.most_nodes)
            throw give_up{{where, fmt::format("more than {} values, aliases written out", within_.most_nodes)}};
        if (parent.value->kind == node_kind::sequence) {
            parent.value->items.push_back(value);
        } else if (!parent.pending) {
            parent.pending = key{std::nullopt, where};
            if (value->kind == node_kind::scalar) parent.pending->text = value->text;
            else mistakes_.push_back({where, "a key must be plain text"});
        } else {
            add_entry(parent, *std::exchange(parent.pending, std::nullopt), value);
        }
    }

    void add_entry(unfinished& mapping, key name, node_pointer const& value) {
        if (!name.text) return;
        auto const [first, is_new] = mapping.lines.try_emplace(*name.text, name.where.line);
        if (!is_new) {
            // Where a colon is missing a key may be all of a line, with a password in it.
            std::string const shown = name.text->find('=') == std::string::npos ? " " + in_quotes(*name.text) : "";
            mistakes_.push_back({name.where, fmt::format("duplicate key{}; it is already in line {}", shown, first->second)});
            return;
        }
        mapping.value->entries.push_back({std::move(*name.text), name.where, value});
    }

    line_index const& lines_;
    limits within_;
    std::vector<mistake>& mistakes_;
    node_pointer root_;
    position begin_;
    std::vector<unfinished> stack_;
    std::map<YAML::anchor_t, node_pointer> anchors_;
    std::uint64_t total_{0};
};

/// yaml-cpp takes 0x04 for the end of the text and guesses UTF-16 from NULs: both would hide what follows.
std::optional<mistake> find_bad_byte(std::string_view text, line_index const& lines) {
    for (std::size_t at = 0; at < text.size();) {
        auto const begin = at;
        auto const c = base::next_code_point(text, at);
        auto const byte = static_cast<unsigned>(static_cast<unsigned char>(text[begin]));
        if (!c) return mistake{lines.at_byte(begin), fmt::format("not UTF-8 (byte 0x{:02x})", byte)};
        bool const control = *c == 0x7f || (*c < 0x20 && *c != '\t' && *c != '\n' && *c != '\r');
        if (control) return mistake{lines.at_byte(begin), fmt::format("a control character (0x{:02x})", byte)};
    }
    return std::nullopt;
}

/// What stands behind a colon in yaml-cpp's messages is a piece of the text, which may be part of a password.
std::string syntax_message(std::string const& from_parser) {
    return "not valid YAML: " + from_parser.substr(0, from_parser.find(": "));
}

} // namespace

std::string_view kind_name(node_kind kind) {
    switch (kind) {
        case node_kind::null: return "nothing";
        case node_kind::scalar: return "text";
        case node_kind::sequence: return "a list";
        case node_kind::mapping: return "a mapping";
    }
    return "";
}

document parse_document(std::string_view text, limits within) {
    document out;
    line_index const lines{text};
    if (auto bad = find_bad_byte(text, lines)) {
        out.mistakes.push_back(std::move(*bad));
        return out;
    }
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3); // a byte order mark; no column counts it
    line_index const visible_lines{text};
    try {
        std::istringstream stream{std::string{text}};
        YAML::Parser parser{stream};
        tree_builder builder{visible_lines, within, out.mistakes};
        if (parser.HandleNextDocument(builder)) out.root = builder.root();
        std::vector<mistake> ignored;
        tree_builder second{visible_lines, within, ignored};
        if (out.root && parser.HandleNextDocument(second) && second.root() && second.root()->kind != node_kind::null)
            out.mistakes.push_back({second.root()->where, "a second document; the file must have one"});
    } catch (give_up& stop) {
        out.root = nullptr;
        out.mistakes.push_back(std::move(stop.why));
    } catch (YAML::Exception const& e) {
        out.root = nullptr;
        out.mistakes.push_back({visible_lines.at(e.mark), syntax_message(e.msg)});
    }
    return out;
}

} // namespace pgmend::yaml
