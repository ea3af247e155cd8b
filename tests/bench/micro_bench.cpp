// Prints what the hot steps cost; with an argument, those whose names contain it. Build it as Release; figures of other builds
// say nothing.
#include "bench.hpp"

namespace pgmend::bench {

void sql_benches();
void session_benches();

} // namespace pgmend::bench

int main(int count, char** arguments) {
    if (count > 1) pgmend::bench::wanted = arguments[1];
    pgmend::bench::sql_benches();
    pgmend::bench::session_benches();
    return 0;
}
