// An application that prepares its statements, and uses them again after somebody changed the schema.
// Prints "ready" when it is at work, waits for a line on standard input, works on, and prints what it got.
'use strict'
const { Client } = require('pg')

const statements = [
  { name: 'by-id', text: 'SELECT id, email FROM users WHERE id = $1', values: [1] },
  { name: 'count', text: 'SELECT count(*)::int AS n FROM users WHERE email LIKE $1', values: ['%example%'] },
  { text: 'SELECT email FROM users WHERE id = $1', values: [2] },
  { text: 'SELECT email FROM users ORDER BY id LIMIT 1' },
]

async function work(client) {
  const found = []
  for (const statement of statements) {
    const { rows, fields } = await client.query({ ...statement })
    found.push({ rows, fields: fields.map((f) => [f.name, f.dataTypeID]) })
  }
  return found
}

async function main() {
  const client = new Client(JSON.parse(process.argv[2]))
  await client.connect()
  const before = JSON.stringify(await work(client))
  console.log('ready')
  await new Promise((resolve) => process.stdin.once('data', resolve))
  for (let n = 0; n < 3; n++) {
    const after = JSON.stringify(await work(client))
    if (after !== before) throw new Error(`before: ${before}\nafter: ${after}`)
  }
  await client.end()
  console.log('same')
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
