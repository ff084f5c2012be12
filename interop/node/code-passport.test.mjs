import assert from 'node:assert/strict'
import test from 'node:test'
import { createServer } from 'node:http'
import express from 'express'
import passport from 'passport'
import OAuth2Strategy from 'passport-oauth2'
import { issuer, clientID, clientSecret } from './jeton.mjs'
import { Walker } from './walk.mjs'

// passport-oauth2 wants a session; one visitor needs no more than this.
test('a login through passport', async (t) => {
  const app = express()
  const session = { regenerate: (done) => done(), save: (done) => done() }
  app.use((req, _res, next) => { req.session = session; next() })
  const server = createServer(app)
  await new Promise((done) => server.listen(3998, '127.0.0.1', done))
  t.after(() => server.close())

  passport.use(new OAuth2Strategy({
    authorizationURL: `${issuer}/authorize`, tokenURL: `${issuer}/token`, clientID, clientSecret,
    callbackURL: 'http://127.0.0.1:3998/cb', scope: ['read', 'write'], scopeSeparator: ' ', state: true, pkce: true,
  }, (accessToken, refreshToken, results, _profile, done) => done(null, { accessToken, refreshToken, results })))
  app.get('/login', passport.authenticate('oauth2', { session: false }))
  app.get('/cb', passport.authenticate('oauth2', { session: false }), (req, res) => res.json(req.user))

  const begin = await fetch('http://127.0.0.1:3998/login', { redirect: 'manual' })
  const back = await new Walker().to(begin.headers.get('location'))
  const response = await fetch(back)
  assert.equal(response.status, 200)
  const user = await response.json()
  assert.ok(user.accessToken && user.refreshToken)
  assert.equal(user.results.scope, 'read write')
})
