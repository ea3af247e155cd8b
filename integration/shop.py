"""A database of a test's own behind a pgmend, with an old application in it."""

from __future__ import annotations

import psycopg

import harness
import raw


class Shop:
    """A database of its own behind a pgmend that has seen its schema."""

    def __init__(self, proxy: harness.Pgmend, postgres: harness.Postgres, name: str) -> None:
        self.proxy, self.postgres, self.name = proxy, postgres, name
        self.port = proxy.port

    def direct(self, *statements: str) -> list:
        return self.postgres.run(*statements, database=self.name)

    def known(self, version: int = 1) -> None:
        """Waits until pgmend has read this database's catalog (at least this version of it)."""
        with raw.Client(self.port) as client:
            client.log_in(user="postgres", database=self.name)
            event = "catalog.loaded" if version == 1 else "schema.changed"
            self.proxy.wait_for_event(event, lambda e: e["database"] == self.name and e["version"] >= version)

    def migrate(self, *statements: str) -> None:
        self.direct(*statements)

    def connect(self, **options) -> psycopg.Connection:
        return psycopg.connect(harness.conninfo(self.port, self.name, application_name="old application", **options), autocommit=True)

    def raw(self, direct: bool = False, **options) -> raw.Client:
        client = raw.Client(self.postgres.port if direct else self.port)
        return client.log_in(user=options.pop("user", "postgres"), database=self.name, **options)

    def events(self, name: str) -> list[dict]:
        return [event for event in self.proxy.events(name) if event["database"] == self.name]

    def healed(self) -> dict:
        self.proxy.wait_for_event("statement.healed", lambda e: e["database"] == self.name)
        return self.events("statement.healed")[-1]

    def same_as_direct(self, *sent: bytes, before: tuple[bytes, ...] = (), count: int = 1) -> list[raw.Message]:
        """Both ways, each piece of `sent` having `count` answers: the same bytes."""
        answers = []
        for direct in (True, False):
            with self.raw(direct) as client:
                for data in before:
                    client.ask(data)
                found = []
                for data in sent:
                    client.send(data)
                    for _ in range(count):
                        found += client.until("Z")
                answers.append(found)
        assert [repr(m) for m in answers[1]] == [repr(m) for m in answers[0]]
        assert raw.bytes_of(answers[1]) == raw.bytes_of(answers[0])
        return answers[1]
