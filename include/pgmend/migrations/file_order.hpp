// In which order a folder of migrations is run.
#pragma once

#include <string>
#include <vector>

namespace pgmend::migrations {

/// A file that is not read, and why.
struct left_out {
    std::string path;
    std::string reason;
    bool expected{false}; ///< it undoes another one, or belongs to the tool: nothing is missed
};

struct file_order {
    std::vector<std::string> run;     ///< in the order in which the tool runs them
    std::vector<left_out> others;
};

/// Of paths of *.sql files, relative to the folder, with `/` between their parts, in any order. Understands golang-migrate (1_x.up.sql), goose,
/// dbmate and sqlx (20240101120000_x.sql), Flyway (V1.10__x.sql, U undoes, R is repeated after all others), diesel and Prisma (a folder each,
/// up.sql or migration.sql in it): whatever begins with a number. V2 comes before V10, and 1.9 before 1.10.
[[nodiscard]] file_order in_order(std::vector<std::string> paths);

} // namespace pgmend::migrations
