"""The monitor's triggers, fired by real traffic: each says the figure, the limit and the reason, and is lowered again."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import harness
import raw as frames

pytestmark = [pytest.mark.pgmend, pytest.mark.slow]

#: Intervals are 5 s long, a baseline takes 12 of them, a trigger three in a row.
PATIENCE = 240.0


@contextlib.contextmanager
def always(*work: Callable[[], None]) -> Iterator[None]:
    """Each of them again and again, in a thread of its own, until the block ends."""
    over = threading.Event()
    failed: list[BaseException] = []

    def repeat(one: Callable[[], None]) -> None:
        try:
            while not over.is_set():
                one()
        except BaseException as failure:  # noqa: BLE001 - told where the test can see it
            failed.append(failure)

    threads = [threading.Thread(target=repeat, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failed, failed


class Stopped:
    """One thread of a process is stopped in the block, as a debugger does it. The others run on."""

    ATTACH, DETACH, WAIT_ALL = 16, 17, 0x40000000

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
        self.libc.ptrace.restype = ctypes.c_long

    def __enter__(self) -> None:
        if self.libc.ptrace(self.ATTACH, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
        os.waitpid(self.thread, self.WAIT_ALL)

    def __exit__(self, *_: object) -> None:
        self.libc.ptrace(self.DETACH, self.thread, None, None)


def test_each_trigger_is_raised_by_traffic_that_gives_it_reason_and_lowered_again(start_pgmend: Any, postgres: harness.Postgres, database: str) -> None:
    # A guess may heal reads here, and no guess is ever suspended.
    proxy = start_pgmend(control="user=postgres", workers=1, patterns={"minimum_uses": 1_000_000}, healing={"policy": {"hint": {"reads": "heal"}}})
    postgres.run("CREATE TABLE t (id int, postal_address text)", "INSERT INTO t VALUES (1, 'street')", "CREATE TABLE gone (a int)", database=database)
    harness.know(proxy, database)
    postgres.run("ALTER TABLE gone RENAME a TO b", database=database)  # texts that mention it are looked at
    harness.know(proxy, database)

    def connect(user: str = "postgres") -> "psycopg.Connection[Any]":
        return psycopg.connect(harness.conninfo(proxy.port, database, user), autocommit=True)

    def told(trigger: str, raised: bool = True) -> list[dict[str, Any]]:
        return [e for e in proxy.events("optimizer.decided") if e["trigger"] == trigger and e["raised"] == raised and e["subject"] in ("", "select")]

    with contextlib.ExitStack() as stack:
        admin = stack.enter_context(psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True))
        good, bad = stack.enter_context(connect()), stack.enter_context(connect("trust"))
        many = stack.enter_context(frames.Client(proxy.port)).log_in(user="postgres", database=database)
        number = itertools.count(1)

        def guess_well() -> None:
            assert good.execute("SELECT postal_adress FROM t").fetchall() == [("street",)]

        def guess_badly() -> None:  # who may not read the table: PostgreSQL refuses the edited statement, and the client gets its first error
            with pytest.raises(psycopg.errors.UndefinedColumn):
                bad.execute("SELECT postal_adress FROM t")

        def new_texts() -> None:
            texts = [f"SELECT b FROM gone WHERE b = {next(number)}" for _ in range(100)]
            many.send(b"".join(frames.query(text) for text in texts))
            for _ in texts:
                many.until("Z")

        with always(guess_well, guess_badly, new_texts):
            for trigger in ("heal_success", "advised_share", "cache_hits"):
                harness.wait_until(lambda: told(trigger), f"{trigger} is raised", PATIENCE)
            # Twelve intervals with enough statements make a baseline; the hour that SHOW HISTORY tells has as many.
            harness.wait_until(lambda: sum(row[3] >= 50 for row in admin.execute("SHOW HISTORY").fetchall()) >= 13, "what is usual is known", PATIENCE)

        slow = [stack.enter_context(connect()) for _ in range(24)]
        def heal_slowly(by: "psycopg.Connection[Any]") -> None:  # a new text each time, so that each has its first heal
            by.execute(f"SELECT postal_adress, pg_sleep(1) FROM t WHERE id <> -{next(number)}").fetchall()

        with always(*(functools.partial(heal_slowly, c) for c in slow)):
            for trigger in ("slow_heals", "latency"):
                harness.wait_until(lambda: told(trigger), f"{trigger} is raised", PATIENCE)

        with always(guess_well): # quick again
            for trigger in ("slow_heals", "heal_success"):
                harness.wait_until(lambda: told(trigger, raised=False), f"{trigger} is lowered", PATIENCE)

        worker = next(int(task.name) for task in pathlib.Path(f"/proc/{proxy.pid}/task").iterdir() if (task / "comm").read_text().startswith("worker"))

        def starve() -> None:
            with Stopped(worker):
                # The main thread asks each second how late the worker's loop is: at another moment of each pause, or it might for ever ask at its end.
                threading.Event().wait(2.3)
            admin.execute("SHOW VERSION")

        with always(starve):
            harness.wait_until(lambda: told("event_loop_lag"), "event_loop_lag is raised", PATIENCE)
        harness.wait_until(lambda: told("event_loop_lag", raised=False), "event_loop_lag is lowered", PATIENCE)

        triggers = {row[0]: row for row in admin.execute("SHOW MONITOR").fetchall() if row[1] in (None, "", "select")}
        assert triggers["advised_share"][2] == "yes" and triggers["heal_success"][2] == "no"
        assert any("heals succeeded" in row[2] for row in admin.execute("SHOW EVENTS").fetchall())
    for trigger, reason, above in (("heal_success", "heals succeeded", False), ("advised_share", "rest on advice", True), ("cache_hits", "texts were known", False),
                                   ("slow_heals", "95 % of heals take up to", True), ("latency", "95 % of select take up to", True), ("event_loop_lag", "event loop is", True)):
        said = told(trigger)[0]
        assert reason in said["reason"] and said["advice"] and (said["figure"] > said["limit"]) == above, said
