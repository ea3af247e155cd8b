// Prints what the hot steps cost. Build it as Release; figures of other builds say nothing.
namespace pgmend::bench {

void sql_benches();
void session_benches();

} // namespace pgmend::bench

int main() {
    pgmend::bench::sql_benches();
    pgmend::bench::session_benches();
    return 0;
}
