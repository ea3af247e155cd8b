#include "field_text.hpp"

namespace pgmend::control {

std::vector<std::optional<std::string>> to_texts(std::string_view array) {
    std::vector<std::optional<std::string>> found;
    if (array.size() < 2 || array.front() != '{' || array.back() != '}') return found;
    array = array.substr(1, array.size() - 2);
    for (std::size_t at = 0; at < array.size();) {
        std::string element;
        bool const quoted = array[at] == '"';
        bool inside = quoted;
        at += quoted;
        for (; at < array.size() && (inside || array[at] != ','); ++at) {
            if (array[at] == '\\' && at + 1 < array.size()) element += array[++at];
            else if (quoted && array[at] == '"') inside = false;
            else element += array[at];
        }
        if (!quoted && element == "NULL") found.emplace_back();
        else found.emplace_back(std::move(element));
        ++at; // the comma
    }
    return found;
}

} // namespace pgmend::control
