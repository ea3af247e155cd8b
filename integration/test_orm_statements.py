"""Statements as Rails, Django, SQLAlchemy, Hibernate, Prisma, sqlc and people write them, through a migration that renames almost everything."""

from __future__ import annotations

import raw
from shop import Shop

SCHEMA = """
CREATE SCHEMA app;
CREATE TYPE order_status AS ENUM ('pending','paid','shipped');
CREATE TABLE users (id bigserial PRIMARY KEY, email varchar NOT NULL UNIQUE, encrypted_password varchar NOT NULL DEFAULT '', "firstName" text, admin boolean NOT NULL DEFAULT false, sign_in_count int NOT NULL DEFAULT 0, settings jsonb, created_at timestamp NOT NULL DEFAULT '2024-01-01', updated_at timestamp NOT NULL DEFAULT '2024-01-01');
CREATE TABLE posts (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, title varchar(200), body text, tags text[] DEFAULT '{}', score int, published boolean DEFAULT true, created_at timestamp DEFAULT '2024-01-01');
CREATE TABLE comments (id bigserial PRIMARY KEY, post_id bigint REFERENCES posts, author_id bigint REFERENCES users, body text, parent_id bigint);
CREATE TABLE app."Order" (id serial PRIMARY KEY, "userId" bigint NOT NULL, "createdAt" timestamptz NOT NULL DEFAULT '2024-01-01', status order_status NOT NULL DEFAULT 'pending', total numeric(10,2));
CREATE TABLE app."OrderItem" (id serial PRIMARY KEY, "orderId" int REFERENCES app."Order", sku text, qty int, UNIQUE ("orderId", sku));
CREATE TABLE jobs (id bigserial PRIMARY KEY, queue text, payload jsonb, run_at timestamptz DEFAULT '2024-01-01', locked_by text, attempts int DEFAULT 0);
INSERT INTO users (email, "firstName", admin, settings) SELECT 'u'||g||'@x', 'n'||g, g%2=0, jsonb_build_object('theme','dark','n',g) FROM generate_series(1,6) g;
INSERT INTO posts (user_id,title,body,tags,score) SELECT 1+g%6,'t'||g,'b'||g,ARRAY['x','t'||g%3],g FROM generate_series(1,12) g;
INSERT INTO comments (post_id,author_id,body,parent_id) SELECT 1+g%12,1+g%6,'c'||g, NULLIF(g/3,0) FROM generate_series(1,20) g;
INSERT INTO app."Order" ("userId",status,total) SELECT 1+g%6, (ARRAY['pending','paid','shipped'])[1+g%3]::order_status, g*1.5 FROM generate_series(1,8) g;
INSERT INTO app."OrderItem" ("orderId",sku,qty) SELECT 1+g%8,'s'||g,g FROM generate_series(1,10) g;
INSERT INTO jobs (queue,payload) SELECT 'q'||g%2, jsonb_build_object('a',g) FROM generate_series(1,5) g;
"""
MIGRATION = """
ALTER TABLE users RENAME COLUMN email TO email_address;
ALTER TABLE users RENAME COLUMN "firstName" TO first_name;
ALTER TABLE users RENAME COLUMN admin TO is_admin;
ALTER TABLE users RENAME COLUMN settings TO preferences;
ALTER TABLE posts RENAME COLUMN user_id TO author_id;
ALTER TABLE posts RENAME COLUMN tags TO labels;
ALTER TABLE posts RENAME COLUMN score TO points;
ALTER TABLE posts RENAME TO articles;
ALTER TABLE comments RENAME COLUMN parent_id TO reply_to;
ALTER TABLE app."Order" RENAME COLUMN "userId" TO user_id;
ALTER TABLE app."Order" RENAME COLUMN "createdAt" TO created_at;
ALTER TABLE app."Order" RENAME TO orders;
ALTER TABLE app."OrderItem" RENAME COLUMN "orderId" TO order_id;
ALTER TABLE app."OrderItem" RENAME TO order_items;
ALTER TYPE order_status RENAME VALUE 'paid' TO 'settled';
ALTER SCHEMA app RENAME TO shop;
ALTER TABLE jobs RENAME COLUMN payload TO arguments;
ALTER TABLE jobs RENAME TO background_jobs;
ALTER TABLE articles ADD COLUMN slug text;
ALTER TABLE users ADD COLUMN last_seen timestamp;
"""

# Text and parameters.
STATEMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ('SELECT "users".* FROM "users" WHERE "users"."email" = $1 LIMIT $2', ('u1@x', '1')),
    ('SELECT "users"."id", "users"."email" FROM "users" WHERE "users"."admin" = $1 ORDER BY "users"."id" ASC', ('t',)),
    ('SELECT COUNT(*) FROM "posts" INNER JOIN "users" ON "users"."id" = "posts"."user_id" WHERE "users"."email" LIKE $1', ('u%',)),
    ('SELECT "posts"."id" AS t0_r0, "posts"."title" AS t0_r1, "users"."email" AS t1_r1 FROM "posts" LEFT OUTER JOIN "users" ON "users"."id" = "posts"."user_id" WHERE "posts"."score" > $1 ORDER BY "posts"."id"', ('5',)),
    ('INSERT INTO "users" ("email", "encrypted_password", "admin", "created_at", "updated_at") VALUES ($1, $2, $3, $4, $5) RETURNING "id"', ('new@x', 'p', 'f', '2024-01-01', '2024-01-01')),
    ('UPDATE "users" SET "email" = $1, "updated_at" = $2 WHERE "users"."id" = $3', ('z@x', '2024-01-02', '1')),
    ('UPDATE "posts" SET "score" = COALESCE("score", 0) + $1 WHERE "posts"."id" = $2', ('1', '3')),
    ('DELETE FROM "comments" WHERE "comments"."parent_id" = $1', ('3',)),
    ('SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 LIMIT $2', ('u1@x', '1')),
    ('SELECT DISTINCT "posts"."id", "posts"."score" AS alias_0 FROM "posts" LEFT OUTER JOIN "comments" ON "comments"."post_id" = "posts"."id" WHERE "comments"."body" IS NOT NULL ORDER BY "posts"."score" DESC, "posts"."id" LIMIT $1', ('3',)),
    ('INSERT INTO "users" ("email","created_at","updated_at") VALUES (\'u1@x\', \'2024-01-01\', \'2024-01-01\'), (\'n2@x\', \'2024-01-01\', \'2024-01-01\') ON CONFLICT ("email") DO UPDATE SET updated_at=(CASE WHEN ("users"."admin" IS NOT DISTINCT FROM excluded."admin") THEN "users".updated_at ELSE CURRENT_TIMESTAMP END),"email"=excluded."email" RETURNING "id"', ()),
    ('SELECT "users".* FROM "users" WHERE (settings->>\'theme\' = \'dark\') ORDER BY id', ()),
    ('SELECT "posts"."user_id", COUNT(*) AS count_all FROM "posts" GROUP BY "posts"."user_id" HAVING COUNT(*) > 1 ORDER BY count_all DESC, user_id', ()),
    ('SELECT "posts".* FROM "posts" WHERE \'x\' = ANY("posts"."tags") AND "posts"."id" IN ($1, $2, $3) ORDER BY posts.id', ('1', '2', '3')),
    ('SELECT AVG("posts"."score") FROM "posts" WHERE "posts"."user_id" = $1', ('1',)),
    ('SELECT "users"."id", "users"."email", "users"."firstName" FROM "users" WHERE ("users"."email" LIKE \'u%\' AND NOT ("users"."admin")) ORDER BY "users"."email" ASC', ()),
    ('SELECT "posts"."id", (SELECT U0."body" FROM "comments" U0 WHERE U0."post_id" = ("posts"."id") ORDER BY U0."id" DESC LIMIT 1) AS "latest" FROM "posts" WHERE EXISTS(SELECT 1 AS "a" FROM "users" U0 WHERE (U0."id" = ("posts"."user_id") AND U0."admin") LIMIT 1) ORDER BY 1', ()),
    ('SELECT "users"."id", COUNT("posts"."id") AS "n" FROM "users" LEFT OUTER JOIN "posts" ON ("users"."id" = "posts"."user_id") GROUP BY "users"."id" ORDER BY "n" DESC, "users"."id"', ()),
    ('UPDATE "posts" SET "score" = ("posts"."score" + 1) WHERE "posts"."id" IN (SELECT U0."id" FROM "posts" U0 INNER JOIN "users" U1 ON (U0."user_id" = U1."id") WHERE U1."email" = \'u2@x\')', ()),
    ('SELECT SUM("posts"."score") AS "s", MAX("users"."email") FROM "posts" INNER JOIN "users" ON ("posts"."user_id" = "users"."id")', ()),
    ('SELECT (1) AS "a" FROM "users" WHERE "users"."email" = \'u1@x\' LIMIT 1', ()),
    ('SELECT "users"."id", UPPER("users"."email") AS "e", CASE WHEN "users"."admin" THEN \'yes\' ELSE \'no\' END AS "k" FROM "users" ORDER BY "e" DESC', ()),
    ('SELECT users.id AS users_id, users.email AS users_email FROM users JOIN posts AS posts_1 ON users.id = posts_1.user_id WHERE posts_1.score > $1 ORDER BY users_id, posts_1.id', ('9',)),
    ('SELECT anon_1.users_id, anon_1.users_email, comments_1.id FROM (SELECT users.id AS users_id, users.email AS users_email FROM users ORDER BY users.id LIMIT $1) AS anon_1 LEFT OUTER JOIN comments AS comments_1 ON anon_1.users_id = comments_1.author_id ORDER BY anon_1.users_id, comments_1.id', ('2',)),
    ('INSERT INTO posts (user_id, title, tags) SELECT p0::BIGINT, p1::VARCHAR, p2::TEXT[] FROM (VALUES ($1, $2, $3, 0), ($4, $5, $6, 1)) AS imp_sen(p0, p1, p2, sen_counter) ORDER BY sen_counter RETURNING posts.id, posts.id AS id__1', ('1', 'a', '{x}', '2', 'b', '{y}')),
    ('WITH RECURSIVE tree(id, parent_id, lvl) AS (SELECT comments.id AS id, comments.parent_id AS parent_id, 0 AS lvl FROM comments WHERE comments.parent_id IS NULL UNION ALL SELECT c.id, c.parent_id, tree.lvl + 1 FROM comments AS c, tree WHERE c.parent_id = tree.id) SELECT tree.id, tree.parent_id, tree.lvl FROM tree ORDER BY 1', ()),
    ('SELECT users.id, count(posts.id) FILTER (WHERE posts.published) AS n, array_agg(DISTINCT posts.score) AS a FROM users LEFT JOIN posts ON posts.user_id = users.id GROUP BY users.id ORDER BY users.id', ()),
    ('SELECT row_number() OVER (PARTITION BY posts.user_id ORDER BY posts.score DESC) AS rn, posts.id FROM posts ORDER BY posts.id', ()),
    ('select u1_0.id,u1_0.email,u1_0."firstName" from users u1_0 where u1_0.email=$1 fetch first $2 rows only', ('u1@x', '1')),
    ('select p1_0.id,p1_0.user_id,u1_0.id,u1_0.email,p1_0.title from posts p1_0 join users u1_0 on u1_0.id=p1_0.user_id where p1_0.id=$1', ('3',)),
    ('update posts set score=$1,title=$2,user_id=$3 where id=$4', ('7', 'tt', '2', '3')),
    ('insert into comments (author_id,body,parent_id,post_id) values ($1,$2,$3,$4) returning id', ('1', 'b', '2', '3')),
    ('select count(o1_0.id) from app."Order" o1_0 where o1_0."userId" in (select u1_0.id from users u1_0 where u1_0.admin=true)', ()),
    ('delete from comments c1_0 where c1_0.parent_id=$1 or exists(select 1 from posts p1_0 where p1_0.id=c1_0.post_id and p1_0.score<$2)', ('4', '3')),
    ('SELECT "t0"."id", "t0"."userId", "t1"."__r" AS "items" FROM "app"."Order" AS "t0" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__t"."__d"), \'[]\') AS "__r" FROM (SELECT JSONB_BUILD_OBJECT(\'id\', "t2"."id", \'sku\', "t2"."sku") AS "__d" FROM (SELECT "t3".* FROM "app"."OrderItem" AS "t3" WHERE "t0"."id" = "t3"."orderId" ORDER BY "t3".id) AS "t2") AS "__t") AS "t1" ON true ORDER BY "t0"."id"', ()),
    ('SELECT COUNT(*) FROM (SELECT "app"."Order"."id" FROM "app"."Order" WHERE "app"."Order"."userId" = $1 OFFSET $2) AS "sub"', ('2', '0')),
    ('UPDATE "app"."Order" SET "total" = $1 WHERE ("app"."Order"."id" = $2 AND 1=1) RETURNING "app"."Order"."id", "app"."Order"."userId", "app"."Order"."createdAt"', ('9', '1')),
    ('DELETE FROM "app"."OrderItem" WHERE ("app"."OrderItem"."orderId" IN ($1,$2) AND 1=1)', ('1', '2')),
    ('INSERT INTO "app"."OrderItem" AS oi ("orderId","sku","qty") VALUES ($1,$2,$3) ON CONFLICT ("orderId","sku") DO UPDATE SET "qty" = oi."qty" + EXCLUDED."qty" RETURNING oi."orderId", oi.qty', ('2', 's1', '5')),
    ('-- name: GetUser :one\nSELECT id, email, "firstName", admin, settings FROM users\nWHERE id = $1 LIMIT 1;', ('1',)),
    ('-- name: Upsert :exec\nINSERT INTO users (email, "firstName") VALUES ($1, $2)\nON CONFLICT (email) DO UPDATE SET "firstName" = EXCLUDED."firstName", updated_at = now()', ('u1@x', 'q')),
    ('SELECT u.*, p.title FROM users u JOIN posts p ON p.user_id = u.id WHERE u.id = ANY($1::bigint[]) ORDER BY u.id, p.id', ('{1,2}',)),
    ('INSERT INTO posts (user_id, title, score) SELECT unnest($1::bigint[]), unnest($2::text[]), unnest($3::int[]) RETURNING id, user_id, score', ('{1,2}', '{a,b}', '{3,4}')),
    ('INSERT INTO posts (user_id, title, score) SELECT * FROM unnest($1::bigint[], $2::text[], $3::int[]) AS t(user_id, title, score)', ('{1,2}', '{a,b}', '{3,4}')),
    ('UPDATE posts AS p SET score = d.score FROM (SELECT unnest($1::bigint[]) AS id, unnest($2::int[]) AS score) AS d WHERE p.id = d.id RETURNING p.id, p.score', ('{1,2}', '{8,9}')),
    ('UPDATE posts SET score = v.score FROM (VALUES (1, 100), (2, 200)) AS v (id, score) WHERE posts.id = v.id', ()),
    ('SELECT json_agg(t) FROM (SELECT id, email, admin FROM users WHERE id < 3 ORDER BY id) t', ()),
    ("SELECT json_build_object('id', u.id, 'email', u.email, 'posts', (SELECT json_agg(json_build_object('t', p.title, 's', p.score) ORDER BY p.id) FROM posts p WHERE p.user_id = u.id)) FROM users u ORDER BY u.id", ()),
    ('SELECT row_to_json(t) FROM (SELECT user_id, score FROM posts WHERE id = 1) t', ()),
    ('SELECT jsonb_object_agg(email, admin) FROM users', ()),
    ('SELECT to_jsonb(u) FROM users u WHERE email = $1', ('u1@x',)),
    ('WITH a AS (SELECT user_id, sum(score) AS total FROM posts GROUP BY user_id), b AS (SELECT a.user_id, total, rank() OVER (ORDER BY total DESC) AS r FROM a) SELECT b.user_id, users.email, b.total, b.r FROM b JOIN users ON users.id = b.user_id WHERE r <= 3 ORDER BY r, 1', ()),
    ('WITH ins AS (INSERT INTO posts (user_id, title) VALUES ($1, $2) RETURNING id, user_id), upd AS (UPDATE users SET sign_in_count = sign_in_count + 1 FROM ins WHERE users.id = ins.user_id RETURNING users.id, users.email) SELECT ins.id, upd.email FROM ins, upd', ('1', 'w')),
    ('WITH job AS (SELECT id FROM jobs WHERE queue = $1 AND locked_by IS NULL ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) UPDATE jobs SET locked_by = $2, attempts = attempts + 1 FROM job WHERE jobs.id = job.id RETURNING jobs.id, jobs.payload', ('q1', 'w1')),
    ("UPDATE jobs SET locked_by = 'w' WHERE id = (SELECT id FROM jobs WHERE payload->>'a' > '1' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING *", ()),
    ('SELECT * FROM posts WHERE (user_id, id) > ($1, $2) ORDER BY user_id, id LIMIT 4', ('2', '3')),
    ('SELECT lag(score) OVER w AS prev, score, lead(user_id) OVER w FROM posts WINDOW w AS (ORDER BY score) ORDER BY score', ()),
    ('SELECT u.email, x.title FROM users u CROSS JOIN LATERAL (SELECT p.title FROM posts p WHERE p.user_id = u.id ORDER BY p.score DESC LIMIT 1) x ORDER BY 1', ()),
    ('SELECT DISTINCT t FROM posts, unnest(tags) AS t ORDER BY t', ()),
    ("SELECT p.id, t.tag FROM posts p, unnest(p.tags) AS t(tag) WHERE t.tag <> 'x' ORDER BY p.id", ()),
    ("SELECT id FROM posts WHERE tags @> ARRAY['t1'] AND tags && $1 ORDER BY id", ('{x}',)),
    ('SELECT key, value FROM users, jsonb_each_text(settings) WHERE users.id = 1 ORDER BY key', ()),
    ("SELECT s.key FROM users u, jsonb_each(u.settings) s WHERE u.email = 'u2@x' ORDER BY 1", ()),
    ("UPDATE users SET settings = jsonb_set(coalesce(settings, '{}'), '{theme}', to_jsonb($1::text)) WHERE id = $2", ('light', '1')),
    ('SELECT email FROM users UNION SELECT title FROM posts EXCEPT SELECT body FROM comments ORDER BY email', ()),
    ('SELECT * FROM comments c LEFT JOIN comments p ON c.parent_id = p.id ORDER BY c.id, p.id', ()),
    ('SELECT EXISTS (SELECT 1 FROM users WHERE email = $1)', ('u1@x',)),
    ("SELECT string_agg(email, ',' ORDER BY email) FROM users", ()),
    ("INSERT INTO posts VALUES (DEFAULT, 1, 'pos', 'b', '{a}', 3, true, DEFAULT) RETURNING *", ()),
    ('MERGE INTO app."OrderItem" t USING (SELECT 1 AS oid, \'zz\' AS sku) s ON t."orderId" = s.oid AND t.sku = s.sku WHEN NOT MATCHED THEN INSERT ("orderId", sku, qty) VALUES (s.oid, s.sku, 1)', ()),
    ('SELECT max(created_at) FROM posts p WHERE NOT EXISTS (SELECT FROM comments WHERE post_id = p.id AND parent_id IS NOT NULL)', ()),
    ('SELECT nextval(\'posts_id_seq\'), nextval(\'"app"."Order_id_seq"\')', ()),
    ('SELECT c.id, COALESCE(c.parent_id, 0) AS parent_id, concat_ws(\' \', u.email, u."firstName") AS who FROM comments c LEFT JOIN users u ON u.id = c.author_id ORDER BY 1', ()),
    ('SELECT u.id FROM users u WHERE u.settings @> \'{"theme": "dark"}\' AND (u.settings->\'n\')::int > 2 ORDER BY u.settings->>\'n\'', ()),
    ('SELECT * FROM (SELECT posts.*, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY id) rn FROM posts) x WHERE rn = 1 ORDER BY id', ()),
    ('SELECT a.id FROM posts a, posts b WHERE a.user_id = b.user_id AND a.score > b.score AND b.id = 1 ORDER BY 1', ()),
    ('COPY users (id, email) TO STDOUT', ()),
    ('SELECT (SELECT email FROM users WHERE users.id = posts.user_id) FROM posts ORDER BY posts.id LIMIT 2', ()),
    ('SELECT count(u) FROM users u WHERE u.email IS NOT NULL', ()),
)

RESET = "SELECT setval(oid::regclass, 500, false) FROM pg_class WHERE relkind = 'S'"


def seen(messages: list[raw.Message]) -> list[bytes]:
    """Parameters, columns (label, type, length; a renamed column has its origin still), rows and tags."""
    return [m.frame for m in messages if m.type in "tTDCdE"]


def request(sql: str, values: tuple[str, ...], mode: str) -> bytes:
    if mode == "extended":
        return raw.parse(sql) + raw.describe("S") + raw.bind(tuple(v.encode() for v in values)) + raw.describe("P") + raw.execute() + raw.SYNC
    for number in range(len(values), 0, -1):
        sql = sql.replace(f"${number}", f"'{values[number - 1]}'")
    return raw.query(sql)


def test_each_statement_answers_as_before(start_pgmend, postgres, database):
    postgres.run(SCHEMA, database=database)
    shop = Shop(start_pgmend(control="user=postgres", log={"format": "json", "level": "debug"}), postgres, database)
    shop.known()
    todo = [(sql, values, mode) for sql, values in STATEMENTS for mode in ("simple", "extended") if mode == "simple" or not sql.startswith("COPY")]

    def answers(direct: bool) -> list[list[bytes]]:
        found = []
        with shop.raw(direct, search_path="public, app") as client:
            for sql, values, mode in todo:
                client.ask(raw.query(f"BEGIN; {RESET}"))
                found.append(seen(client.ask(request(sql, values, mode))))
                client.ask(raw.query("ROLLBACK"))
        return found

    before = answers(direct=True)
    assert not [todo[i] for i, answer in enumerate(before) if answer[-1][:1] == b"E"]
    shop.migrate(*MIGRATION.strip().splitlines())
    for _ in range(2):  # after it failed, and before it fails
        now = answers(direct=False)
        wrong = [(todo[i][2], todo[i][0], now[i]) for i in range(len(todo)) if now[i] != before[i]]
        assert not wrong, "\n".join(f"{mode}: {sql}\n    {answer}" for mode, sql, answer in wrong)
