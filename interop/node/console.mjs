// What tests of the console do beside it: others log in, and programs ask.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { issuer, clientID, clientSecret, password } from './jeton.mjs'

const api = process.env.INTEROP_API

export async function login(name, agent) {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST', headers: { 'user-agent': agent },
    body: new URLSearchParams({ grant_type: 'password', username: name, password, client_id: clientID, client_secret: clientSecret, scope: 'read' }),
  })
  assert.equal(response.status, 200)
  return response.json()
}

export const refresh = (token, agent) => fetch(`${issuer}/token`, {
  method: 'POST', headers: { 'user-agent': agent },
  body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token, client_id: clientID, client_secret: clientSecret }),
})

export const call = async (token) => (await fetch(`${api}/orders`, { headers: { authorization: `Bearer ${token}` } })).status

// refused waits until the API refuses a token, and says how many milliseconds
// after the call it did.
export async function refused(token) {
  const since = Date.now()
  while (await call(token) !== 401) {
    assert.ok(Date.now() - since < 60_000, 'the API takes the token after a minute')
    await sleep(10)
  }
  return Date.now() - since
}

export const claims = (token, part = 1) => JSON.parse(Buffer.from(token.split('.')[part], 'base64url'))

export const own = (id, secret, scope) => fetch(`${issuer}/token`, {
  method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: id, client_secret: secret, scope }),
})

export const linux = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
export const phone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile Safari/604.1'
