// What the tests know of the server they run against; the Go test that starts
// them says it by variables.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'

const say = (name) => {
  const value = process.env[`INTEROP_${name}`]
  assert.ok(value, `INTEROP_${name} is not set: run these tests by "go test ./..." in interop/`)
  return value
}

export const issuer = say('ISSUER')
export const clientID = say('CLIENT_ID')
export const publicID = say('PUBLIC_ID') // a client without a secret
export const clientSecret = say('CLIENT_SECRET')
export const username = say('USERNAME')
export const password = say('PASSWORD')
export const audience = say('AUDIENCE')

// login is the password grant, sent without any library.
export async function login() {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'password', username, password, client_id: clientID, client_secret: clientSecret,
    }),
  })
  assert.equal(response.status, 200)
  return response.json()
}

// rotate makes the next key sign at once, as an operator would.
export function rotate() {
  execFileSync(say('BINARY'), ['key', 'rotate', '--now', '--store', say('STORE')])
}
