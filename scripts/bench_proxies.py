#!/usr/bin/python3
"""The measurements behind scripts/bench."""

from __future__ import annotations

import argparse
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import harness  # noqa: E402
import raw  # noqa: E402

PGBENCH = harness.PG_BIN / "pgbench"
MODES = ("simple", "extended", "prepared")
ROW_BYTES, ROWS, VALUE_BYTES = 100, 10_000, 1_000_000
RESULTS = {
    "1 MB in 10 000 rows": (f"SELECT repeat('x', {ROW_BYTES}) FROM generate_series(1, {ROWS});", ROWS * (5 + 2 + 4 + ROW_BYTES)),
    "1 MB in one value": (f"SELECT repeat('x', {VALUE_BYTES});", VALUE_BYTES + 11),
}


@dataclass
class Round:
    tps: float
    latency_ms: float
    cpu_us: float  # of the proxy, for each transaction


@dataclass
class Target:
    name: str
    threads: str
    daemon: harness.Daemon
    is_proxy: bool = True
    rounds: dict[str, list[Round]] = field(default_factory=dict)


def pgbench(target: Target, *options: object) -> Round:
    before = target.daemon.cpu_ns() if target.is_proxy else 0
    out = harness.run([PGBENCH, "-n", *map(str, options), harness.conninfo(target.daemon.port, "bench", sslmode="disable")]).stdout
    spent = target.daemon.cpu_ns() - before if target.is_proxy else 0

    def number(pattern: str) -> float:
        found = re.search(pattern, out)
        assert found, out
        return float(found[1])

    done = number(r"actually processed: (\d+)")
    return Round(number(r"tps = ([\d.]+) \(without"), number(r"latency average = ([\d.]+) ms"), spent / 1000 / done)


def median(target: Target, test: str, what: str) -> float:
    return statistics.median(getattr(round_, what) for round_ in target.rounds[test])


def ratio(a: Target, b: Target, test: str, what: str) -> str:
    """Median, and range, of the rounds' ratios: what was measured side by side is compared."""
    values = [getattr(x, what) / getattr(y, what) for x, y in zip(a.rounds[test], b.rounds[test]) if getattr(y, what)]
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})" if values else "–"


def run_interleaved(targets: list[Target], test: str, rounds: int, *options: object) -> None:
    for number in range(rounds):
        order = targets[number % len(targets):] + targets[:number % len(targets)]
        for target in order:
            target.rounds.setdefault(test, []).append(pgbench(target, *options))
            print(f"  {test}, round {number + 1}: {target.name}", file=sys.stderr)


def median_interval(values: list[float]) -> tuple[float, float]:
    """Where the median of what was sampled lies with at least 95 % confidence, whatever the distribution (order statistics)."""
    ordered, n = sorted(values), len(values)
    outside, below = 0.0, 0
    while below < n // 2 and outside + math.comb(n, below) / 2**n <= 0.025:
        outside += math.comb(n, below) / 2**n
        below += 1
    return (ordered[below - 1], ordered[n - below]) if below else (ordered[0], ordered[-1])


QUIET = {"format": "json", "level": "warning"}


def compare_builds(postgres: harness.Postgres, other: pathlib.Path, options: argparse.Namespace) -> None:
    """CPU of this build beside another one's: pairs of rounds, AB, BA, AB, … What differs by a percent shows in many short ones only."""
    builds = [Target(name, "1", harness.Pgmend(postgres, control="user=postgres", workers=1, log=QUIET, binary=binary))
              for name, binary in (("this build", harness.BINARY), ("the other", other))]
    rows = []
    for mode in options.mode or MODES:
        test = f"builds, {mode}"
        run_interleaved(builds, test, options.rounds, "-S", "-M", mode, "-c", options.clients, "-j", 2, "-T", options.seconds)
        ratios = [a.cpu_us / b.cpu_us for a, b in zip(builds[0].rounds[test], builds[1].rounds[test])]
        low, high = median_interval(ratios)
        rows.append([mode, *(f"{median(b, test, 'cpu_us'):.2f}" for b in builds), f"{statistics.median(ratios):.4f}", f"{low:.4f}–{high:.4f}",
                     f"{min(ratios):.3f}–{max(ratios):.3f}"])
    print(f"### pgbench -S -c {options.clients}, 1 worker, {options.rounds} pairs of {options.seconds} s: this build and {other}\n")
    print_table(["", "this build, µs/transaction", "the other", "median of the pairs' ratios", "its 95 % interval", "range"], rows)
    for build in builds:
        build.daemon.stop()


def compare_instructions(postgres: harness.Postgres, other: pathlib.Path, options: argparse.Namespace) -> None:
    """Instructions that a transaction takes in each build, outside the kernel: counted by valgrind, so that no noise changes them. What is
    spent beside transactions falls out: only the worker's thread counts, and two runs differ by their number of transactions only."""
    few, many = 500, 8500

    def spent(binary: pathlib.Path, mode: str, transactions: int) -> int:
        proxy = harness.Pgmend(postgres, control="user=postgres", workers=1, log=QUIET, binary=binary, start=False)
        proxy.inside = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={proxy.directory}/out"]
        proxy.start()
        harness.run([PGBENCH, "-n", "-S", "-M", mode, "-c", "1", "-t", str(transactions), harness.conninfo(proxy.port, "bench", sslmode="disable")])
        proxy.stop()
        threads = [text for text in (path.read_text(errors="replace") for path in proxy.directory.glob("out-*")) if "client_session::relay_client" in text]
        assert len(threads) == 1, proxy.log_text()[-2000:]
        found = re.search(r"^(?:summary|totals): (\d+)", threads[0], re.MULTILINE)
        assert found, threads[0][:2000]
        return int(found[1])

    rows = []
    for mode in options.mode or MODES:
        each = [(spent(binary, mode, many) - spent(binary, mode, few)) / (many - few) for binary in (harness.BINARY, other)]
        rows.append([mode, *(f"{n:.0f}" for n in each), f"{each[0] - each[1]:.0f}", f"{each[0] / each[1]:.4f}"])
        print(f"  instructions, {mode}", file=sys.stderr)
    print(f"### pgbench -S -c 1, 1 worker, instructions of a transaction outside the kernel: this build and {other}\n")
    print_table(["", "this build", "the other", "difference", "ratio"], rows)


def print_table(header: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "|".join("---" if n == 0 else "---:" for n in range(len(header))) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def idle_memory(target: Target, clients: int) -> tuple[float, float]:
    """PSS and RSS, in KiB, that one idle client costs: logged in, having run a statement."""
    def connect() -> raw.Client:
        client = raw.Client(target.daemon.port).log_in(user="trust")
        client.rows("SELECT 1")
        return client

    connect().socket.close()
    pss, rss = target.daemon.pss_kib(), target.daemon.rss_kib()
    open_clients = [connect() for _ in range(clients)]
    found = (target.daemon.pss_kib() - pss) / clients, (target.daemon.rss_kib() - rss) / clients
    for client in open_clients:
        client.send(raw.TERMINATE)
        client.socket.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures pgmend beside PgBouncer, HAProxy and a direct connection.")
    parser.add_argument("--rounds", type=int, help="of each measurement, interleaved (5)")
    parser.add_argument("--seconds", type=int, help="that a round lasts (5)")
    parser.add_argument("--clients", type=int, default=8, help="of pgbench (8)")
    parser.add_argument("--idle", type=int, help="idle clients for the memory measurement (1000)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 s, 200 idle clients, where not given")
    parser.add_argument("--only", choices=("throughput", "results", "memory"), action="append", help="leave the rest out")
    parser.add_argument("--mode", choices=MODES, action="append", help="of pgbench; leave the others out")
    parser.add_argument("--beside", type=pathlib.Path, metavar="BINARY", help="nothing but the CPU of pgmend beside that of another build of it, in pairs of rounds")
    parser.add_argument("--instructions", action="store_true", help="with --beside: count instructions instead (valgrind), which no noise changes")
    options = parser.parse_args()
    for name, usual, quick in (("rounds", 5, 3), ("seconds", 5, 2), ("idle", 1000, 200)):
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else usual)
    parts = options.only or ["throughput", "results", "memory"]

    harness.stop_on_signals()
    postgres = harness.Postgres({"max_connections": options.idle + 100, "shared_buffers": "256MB"})
    postgres.run("CREATE DATABASE bench")
    harness.run([PGBENCH, "-i", "-q", "-s", "10", harness.conninfo(postgres.port, "bench")])

    if options.beside:
        (compare_instructions if options.instructions else compare_builds)(postgres, options.beside, options)
        postgres.stop()
        return 0

    direct = Target("direct", "–", postgres, False)
    pgmend_1 = Target("pgmend, 1 worker", "1", harness.Pgmend(postgres, control="user=postgres", workers=1, log=QUIET))
    pgmend = Target("pgmend", "", harness.Pgmend(postgres, control="user=postgres", log=QUIET))
    pgbouncer = Target("PgBouncer, session mode", "1", harness.PgBouncer(postgres, pool_size=options.idle + 50))
    haproxy = Target("HAProxy, TCP mode", "1", harness.HAProxy(postgres))
    pgmend_1.threads = f"1 worker ({pgmend_1.daemon.threads()} threads)"
    pgmend.threads = f"{os.cpu_count()} workers ({pgmend.daemon.threads()} threads)"
    targets = [direct, pgmend_1, pgmend, pgbouncer, haproxy]
    versions = [
        subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]
        for command in ([harness.PG_BIN / "postgres", "--version"], [harness.BINARY, "--version"], ["/usr/sbin/pgbouncer", "--version"], ["/usr/sbin/haproxy", "-v"])
    ]
    print(f"{os.cpu_count()} cores; {options.rounds} rounds of {options.seconds} s, interleaved, medians; pgbench, server and proxies share the machine;\n"
          f"TLS off, authentication trust; pgmend with healing on. {'; '.join(versions)}.\n")

    if "throughput" in parts:
        for mode in options.mode or MODES:
            test = f"select, {mode}"
            run_interleaved(targets, test, options.rounds, "-S", "-M", mode, "-c", options.clients, "-j", 2, "-T", options.seconds)
            print(f"### pgbench -S -M {mode} -c {options.clients}\n")
            print_table(["", "threads", "tps", "latency, ms", "proxy CPU, µs/transaction"],
                        [[t.name, t.threads, f"{median(t, test, 'tps'):.0f}", f"{median(t, test, 'latency_ms'):.3f}",
                          f"{median(t, test, 'cpu_us'):.1f}" if t.is_proxy else "–"] for t in targets])
            print_table(["pgmend / PgBouncer", "tps", "latency", "proxy CPU"],
                        [[t.name, *(ratio(t, pgbouncer, test, what) for what in ("tps", "latency_ms", "cpu_us"))] for t in (pgmend_1, pgmend)])

    if "results" in parts:
        for test, (sql, size) in RESULTS.items():
            script = harness.scratch() / "result.sql"
            script.write_text(sql + "\n")
            run_interleaved(targets, test, options.rounds, "-M", "extended", "-f", script, "-c", 2, "-j", 2, "-T", options.seconds)
            print(f"### A result of {test}\n")
            megabytes = size / 1e6
            print_table(["", "threads", "MB/s", "proxy CPU, µs/MB"],
                        [[t.name, t.threads, f"{median(t, test, 'tps') * megabytes:.0f}", f"{median(t, test, 'cpu_us') / megabytes:.0f}" if t.is_proxy else "–"] for t in targets])
            print_table(["pgmend / PgBouncer", "MB/s", "proxy CPU"],
                        [[t.name, *(ratio(t, pgbouncer, test, what) for what in ("tps", "cpu_us"))] for t in (pgmend_1, pgmend)])

    if "memory" in parts:
        rows = []
        for target in (pgmend_1, pgmend, pgbouncer, haproxy):
            pss, rss = idle_memory(target, options.idle)
            rows.append([target.name, f"{pss:.1f}", f"{rss:.1f}"])
            harness.wait_until(lambda: postgres.run("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")[0][0] < 100
                               or target is pgbouncer, "the server's sessions are gone")
            if target is pgbouncer:
                target.daemon.stop()  # it keeps its server connections
        print(f"### Memory for an idle client ({options.idle} of them, each with a session of its own)\n")
        print_table(["", "PSS, KiB", "RSS, KiB"], rows)

    for target in targets[1:]:
        if target.daemon in harness._running:
            target.daemon.stop()
    postgres.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
