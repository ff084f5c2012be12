import assert from 'node:assert/strict'
import { once } from 'node:events'
import test from 'node:test'
import express from 'express'
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer'
import { issuer, audience, login } from './jeton.mjs'

test('an Express API takes access tokens and nothing else', async (t) => {
  const app = express()
  app.use(auth({ issuerBaseURL: issuer, audience, strict: true })) // strict asks for typ at+jwt
  app.get('/read', requiredScopes('read'), (req, res) => res.json(req.auth.payload))
  app.get('/delete', requiredScopes('delete'), (req, res) => res.json({}))
  app.use((err, req, res, next) => res.status(err.status ?? 500).set(err.headers ?? {}).json({ error: err.message }))
  const api = app.listen(0, '127.0.0.1')
  await once(api, 'listening')
  t.after(() => { api.close(); api.closeAllConnections() })

  const call = (path, token) => fetch(`http://127.0.0.1:${api.address().port}${path}`, { headers: { authorization: `Bearer ${token}` } })
  const tokens = await login()
  const answer = await call('/read', tokens.access_token)
  assert.equal(answer.status, 200, JSON.stringify(await answer.clone().json()))
  assert.equal((await answer.json()).iss, issuer)
  assert.equal((await call('/delete', tokens.access_token)).status, 403)
  assert.equal((await call('/read', tokens.refresh_token)).status, 401)
})
