// node-postgres through a proxy. Takes connection options as JSON; prints one line for each step that went well.
'use strict'
const assert = require('node:assert')
const { pipeline } = require('node:stream/promises')
const { Readable } = require('node:stream')
const { Client, Pool } = require('pg')
const Cursor = require('pg-cursor')
const { from: copyFrom, to: copyTo } = require('pg-copy-streams')

const options = JSON.parse(process.argv[2])

const steps = {
  async simple(client) {
    const results = await client.query('SELECT 1 AS a; SELECT 2 AS b')
    assert.deepStrictEqual(results.map((r) => r.rows), [[{ a: 1 }], [{ b: 2 }]])
  },
  async parameters(client) {
    const { rows } = await client.query('SELECT $1::int AS a, $2::text AS b, $3::jsonb AS c, $4::bytea AS d', [1, 'x', { y: 1 }, Buffer.from([0, 255])])
    assert.deepStrictEqual(rows[0], { a: 1, b: 'x', c: { y: 1 }, d: Buffer.from([0, 255]) })
  },
  async binary(client) {
    const { rows } = await client.query({ text: 'SELECT $1::int AS a', values: [7], binary: true })
    assert.deepStrictEqual(rows, [{ a: 7 }])
  },
  async prepared(client) {
    for (let n = 0; n < 50; n++) {
      const { rows } = await client.query({ name: 'twice', text: 'SELECT $1::int * 2 AS v', values: [n], rowMode: 'array' })
      assert.deepStrictEqual(rows, [[2 * n]])
    }
  },
  async errors(client) {
    await assert.rejects(client.query('SELECT * FROM nowhere'), (e) => e.code === '42P01' && e.position === '15')
    await assert.rejects(client.query('SELECT $1::int', ['x']), (e) => e.code === '22P02')
    assert.strictEqual((await client.query('SELECT 1 AS a')).rows[0].a, 1)
  },
  async transaction(client) {
    await client.query('CREATE TEMP TABLE t (id int PRIMARY KEY)')
    await client.query('BEGIN')
    await client.query('INSERT INTO t VALUES ($1)', [1])
    await assert.rejects(client.query('INSERT INTO t VALUES ($1)', [1]), (e) => e.constraint === 't_pkey')
    await assert.rejects(client.query('SELECT 1'), (e) => e.code === '25P02')
    await client.query('ROLLBACK')
    assert.strictEqual((await client.query('SELECT count(*)::int AS n FROM t')).rows[0].n, 0)
  },
  async cursor(client) {
    const cursor = client.query(new Cursor('SELECT g FROM generate_series(1, 1000) g WHERE g > $1', [10]))
    let seen = 0
    for (;;) {
      const rows = await cursor.read(100)
      if (rows.length === 0) break
      seen += rows.length
    }
    assert.strictEqual(seen, 990)
    await cursor.close()
    const abandoned = client.query(new Cursor('SELECT g FROM generate_series(1, 100000) g'))
    assert.strictEqual((await abandoned.read(5)).length, 5)
    await abandoned.close()
  },
  async copy(client) {
    await client.query('CREATE TEMP TABLE c (id int, note text)')
    const lines = Array.from({ length: 50000 }, (_, n) => `${n}\tnote ${n}\n`)
    await pipeline(Readable.from(lines), client.query(copyFrom('COPY c FROM STDIN')))
    let bytes = 0
    const out = client.query(copyTo('COPY c TO STDOUT'))
    for await (const chunk of out) bytes += chunk.length
    assert.strictEqual(bytes, lines.join('').length)
  },
  async notices_and_notifications(client) {
    const notice = new Promise((resolve) => client.once('notice', resolve))
    await client.query("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
    assert.strictEqual((await notice).message, 'hello')
    const heard = new Promise((resolve) => client.once('notification', resolve))
    await client.query('LISTEN news')
    const other = new Client(options)
    await other.connect()
    await other.query("NOTIFY news, 'payload'")
    await other.end()
    assert.strictEqual((await heard).payload, 'payload')
  },
  async big_result(client) {
    const { rows } = await client.query("SELECT repeat('x', 1000) AS v FROM generate_series(1, 20000)")
    assert.strictEqual(rows.length, 20000)
  },
  async queue_without_waiting(client) {
    const all = await Promise.all(Array.from({ length: 300 }, (_, n) => client.query('SELECT $1::int AS n', [n])))
    assert.deepStrictEqual(all.map((r) => r.rows[0].n), Array.from({ length: 300 }, (_, n) => n))
  },
  async pool() {
    const pool = new Pool({ ...options, max: 10 })
    const all = await Promise.all(Array.from({ length: 200 }, (_, n) => pool.query('SELECT $1::int AS n', [n])))
    assert.strictEqual(all.length, 200)
    await pool.end()
  },
}

async function main() {
  for (const name of process.argv.length > 3 ? process.argv.slice(3) : Object.keys(steps)) {
    const client = new Client(options)
    await client.connect()
    await steps[name](client)
    await client.end()
    console.log('ok', name)
  }
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
