import assert from 'node:assert/strict'
import test from 'node:test'
import jwt from 'jsonwebtoken'
import jwksClient from 'jwks-rsa'
import { issuer, audience, login, rotate } from './jeton.mjs'

test('jsonwebtoken verifies by jwks-rsa, through a rotation', async () => {
  const client = jwksClient({ jwksUri: `${issuer}/.well-known/jwks.json`, cache: true, rateLimit: true })
  const keyOf = (header, done) => client.getSigningKey(header.kid, (err, key) => done(err, key?.getPublicKey()))
  const verify = (token) => new Promise((resolve, reject) => {
    jwt.verify(token, keyOf, { issuer, audience, algorithms: ['RS256'], complete: true },
      (err, verified) => (err ? reject(err) : resolve(verified)))
  })
  const before = await verify((await login()).access_token)
  assert.equal(before.header.typ, 'at+jwt')
  rotate()
  rotate()
  const after = await verify((await login()).access_token)
  assert.notEqual(after.header.kid, before.header.kid)
})
