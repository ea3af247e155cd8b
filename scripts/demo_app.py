#!/usr/bin/python3
"""An application from before the migration. It knows public.users, users.email and orders.user_id, and nothing newer.

usage: demo_app.py CONNECTION-STRING
Prints a JSON object for each thing it does: {"step": …, "ok": …, "result": …}.
"""

import json
import sys

import psycopg


def report(connection):
    rows = connection.execute(
        "SELECT u.email, count(o.id) AS orders, coalesce(sum(o.total), 0) AS total"
        " FROM users u LEFT JOIN orders o ON o.user_id = u.id"
        " GROUP BY u.email ORDER BY total DESC, u.email LIMIT 3"
    ).fetchall()
    return "; ".join(f"{email}: {count} orders, {total}" for email, count, total in rows)


def find(connection):
    cursor = connection.execute("SELECT id, email FROM users WHERE email = %s", ("ada@example.com",), prepare=True)
    labels = ",".join(column.name for column in cursor.description)
    return f"({labels}) = {cursor.fetchone()}"


def register(connection):
    row = connection.execute(
        "INSERT INTO users (name, email) VALUES (%s, %s) ON CONFLICT (email) DO UPDATE SET name = excluded.name RETURNING email",
        ("Edsger", "edsger@example.com"),
    ).fetchone()
    return f"registered {row[0]}"


def change(connection):
    cursor = connection.execute("UPDATE users SET email = lower(email) WHERE email LIKE %s", ("%@example.com",))
    return cursor.statusmessage


def order(connection):
    row = connection.execute(
        "INSERT INTO orders (user_id, total) SELECT id, 42 FROM users WHERE email = %s RETURNING user_id", ("grace@example.com",)
    ).fetchone()
    return f"order of customer {row[0]}"


def leave(connection):
    return connection.execute("DELETE FROM users WHERE email = 'edsger@example.com'").statusmessage


STEPS = {
    "best customers": report,
    "find by e-mail": find,
    "register": register,
    "change e-mails": change,
    "place an order": order,
    "close an account": leave,
}


def main():
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        for step, work in STEPS.items():
            try:
                outcome = {"step": step, "ok": True, "result": work(connection)}
            except psycopg.Error as error:
                outcome = {"step": step, "ok": False, "result": f"{error.sqlstate}: {error.diag.message_primary}"}
            print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
