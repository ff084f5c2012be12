import assert from 'node:assert/strict'
import test from 'node:test'
import { calculateJwkThumbprint, createRemoteJWKSet, jwtVerify } from 'jose'
import { issuer, audience, clientID, login, rotate } from './jeton.mjs'

const alg = process.env.INTEROP_ALG
const uri = new URL(`${issuer}/.well-known/jwks.json`)
const verify = (token, keys) => jwtVerify(token, keys, {
  issuer, audience, typ: 'at+jwt', algorithms: [alg], requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
})

test(`${alg}: access tokens verify by the remote key set, through rotations`, async () => {
  // cooldownDuration is how long jose keeps from asking again for a key that
  // it lacks; a test cannot wait for the usual 30 s.
  const keys = createRemoteJWKSet(uri, { cooldownDuration: 0 })
  const seen = new Set()
  const tokens = []
  for (let i = 0; i < 3; i++) {
    tokens.push((await login()).access_token)
    for (const token of tokens) {
      const { payload, protectedHeader } = await verify(token, keys)
      assert.equal(payload.client_id, clientID)
      seen.add(protectedHeader.kid)
    }
    rotate()
  }
  assert.equal(seen.size, 3)
})

test(`${alg}: the next key is published before it signs`, async () => {
  const keys = createRemoteJWKSet(uri, { cooldownDuration: 600_000 }) // asks once only
  await verify((await login()).access_token, keys)
  rotate()
  await verify((await login()).access_token, keys)
})

test(`${alg}: a refresh token does not verify`, async () => {
  await assert.rejects(verify((await login()).refresh_token, createRemoteJWKSet(uri)))
})

test(`${alg}: kid is the thumbprint of RFC 7638`, async () => {
  const { keys } = await (await fetch(uri)).json()
  for (const key of keys) {
    assert.equal(key.kid, await calculateJwkThumbprint(key))
    assert.equal(key.alg, alg)
    assert.equal(key.use, 'sig')
  }
})
