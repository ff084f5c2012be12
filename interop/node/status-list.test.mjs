// A decoder that someone else wrote reads our status lists.
import assert from 'node:assert/strict'
import test from 'node:test'
import { getListFromStatusListJWT, getStatusListFromJWT } from '@sd-jwt/jwt-status-list'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { issuer, clientID, clientSecret, login } from './jeton.mjs'

// statusOf reads the status of a token, and follows nothing but the drafts.
async function statusOf(token) {
  const { idx, uri } = getStatusListFromJWT(token)
  const response = await fetch(uri, { headers: { Accept: 'application/statuslist+jwt' } })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('Content-Type'), 'application/statuslist+jwt')
  const jwt = await response.text()
  await jwtVerify(jwt, createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`)), {
    typ: 'statuslist+jwt', subject: uri, requiredClaims: ['iat', 'exp'],
  })
  const list = getListFromStatusListJWT(jwt)
  assert.ok(list.statusList.length >= 100_000)
  return list.getStatus(idx)
}

test('@sd-jwt/jwt-status-list reads the status of tokens', async () => {
  const tokens = []
  for (let i = 0; i < 3; i++) tokens.push((await login()).access_token)
  for (const token of tokens) assert.equal(await statusOf(token), 0)
  const response = await fetch(`${issuer}/revoke`, {
    method: 'POST',
    body: new URLSearchParams({ token: tokens[1], client_id: clientID, client_secret: clientSecret }),
  })
  assert.equal(response.status, 200)
  const end = Date.now() + 60_000
  while (await statusOf(tokens[1]) !== 1) {
    assert.ok(Date.now() < end, 'the bit is not set after a minute')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.equal(await statusOf(tokens[0]), 0)
  assert.equal(await statusOf(tokens[2]), 0)
})
