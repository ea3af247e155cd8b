// A migration's text as statements.
#pragma once

#include "pgmend/sql/ddl.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::migrations {

struct located_action {
    sql::ddl_action what;
    std::uint32_t line{1};
};

/// Something that may change a name, and could not be read.
struct unread {
    std::uint32_t line{1};
    std::string reason; ///< one line, without literals
};

struct script {
    std::vector<located_action> actions;
    std::vector<unread> problems;
};

/// What the forward part of a migration does to names. Left out: the part behind a marker that begins the way back (goose and sql-migrate
/// `-- +goose Down`, dbmate `-- migrate:down`, MyBatis `--//@UNDO`), the data of COPY, what psql prints and sets. A byte order mark,
/// lines that end in CR LF, statements separated by a line `--;;`, and BEGIN or COMMIT do not disturb. Parses: see sql/parse.hpp for threads.
[[nodiscard]] script read_script(std::string_view text);

} // namespace pgmend::migrations
