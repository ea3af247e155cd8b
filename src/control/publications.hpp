// Where the newest version of each database's schema is found.
#pragma once

#include "pgmend/base/published.hpp"
#include "pgmend/catalog/history.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace pgmend::control {

/// One place for each database, made when it is first asked for or published. Owned by catalog_watcher; any thread.
class publications {
  public:
    using place = base::published<catalog::history>;

    /// Always the same object for one name, as long as somebody holds it or something was published there.
    [[nodiscard]] std::shared_ptr<place const> of(std::string const& database);

    void publish(std::string const& database, std::shared_ptr<catalog::history const> newest);

  private:
    std::shared_ptr<place> find_or_add(std::string const& database);

    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<place>> places_;
};

} // namespace pgmend::control
