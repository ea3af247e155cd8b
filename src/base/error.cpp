#include "pgmend/base/error.hpp"

#include <stdexcept>

namespace pgmend::base {

void throw_exception_from_error(error const& e, boost::source_location const&) {
    throw std::logic_error("value() of a result that holds an error: " + e.text);
}

} // namespace pgmend::base
