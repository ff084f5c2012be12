// Clients that register themselves: two libraries that know nothing of this
// server but its issuer, and a login with what came of it.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import test from 'node:test'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { issuer, username } from './jeton.mjs'
import { Walker } from './walk.mjs'

const redirect_uri = 'http://127.0.0.1:3999/cb'
const open = process.env.INTEROP_REGISTRATION === 'open'

// initialToken is one that lets a single client in.
const initialToken = (name) => open ? undefined : JSON.parse(execFileSync(process.env.INTEROP_BINARY,
  ['client', 'registration-token', 'add', name, '--json', '--store', process.env.INTEROP_STORE])).token

const ways = {
  client_secret_basic: client.ClientSecretBasic(), client_secret_post: client.ClientSecretPost(), none: client.None(),
  [undefined]: undefined, // neither says so: the library sends the secret in the form
}

for (const [name, way] of Object.entries(ways)) {
  const method = name === 'undefined' ? undefined : name
  test(`openid-client registers with ${name} and signs in`, async () => {
    const config = await client.dynamicClientRegistration(new URL(issuer), {
      client_name: 'A new application', redirect_uris: [redirect_uri], token_endpoint_auth_method: method,
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    }, way, { execute: [client.allowInsecureRequests], initialAccessToken: initialToken(`openid-client-${name}`) })
    const made = config.clientMetadata()
    assert.equal(made.token_endpoint_auth_method, method ?? 'client_secret_basic')
    assert.deepEqual(made.grant_types, ['authorization_code', 'refresh_token'])
    assert.equal(typeof made.client_secret, method === 'none' ? 'undefined' : 'string')

    const pkceCodeVerifier = client.randomPKCECodeVerifier()
    const expectedState = client.randomState()
    const expectedNonce = client.randomNonce()
    const back = await new Walker().to(client.buildAuthorizationUrl(config, {
      redirect_uri, scope: 'openid profile', state: expectedState, nonce: expectedNonce,
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
    }))
    const tokens = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true })
    assert.equal(tokens.claims().preferred_username, username)
    const second = await client.refreshTokenGrant(config, tokens.refresh_token)
    assert.notEqual(second.refresh_token, tokens.refresh_token)

    // RFC 7592: the client looks at itself and goes.
    const headers = { authorization: `Bearer ${made.registration_access_token}` }
    const own = await (await fetch(made.registration_client_uri, { headers })).json()
    assert.equal(own.client_id, made.client_id)
    assert.equal((await fetch(made.registration_client_uri, { method: 'DELETE', headers })).status, 204)
    await assert.rejects(client.refreshTokenGrant(config, second.refresh_token), (e) => e.status === 401)
    assert.equal((await fetch(made.registration_client_uri, { headers })).status, 401)
  })
}

test('oauth4webapi registers and signs in', async () => {
  const insecure = { [oauth.allowInsecureRequests]: true } // http on this machine
  const url = new URL(issuer)
  const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure))
  const made = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as,
    { redirect_uris: [redirect_uri] }, { ...insecure, initialAccessToken: initialToken('oauth4webapi') }))
  assert.equal(made.token_endpoint_auth_method, 'client_secret_basic') // the default of RFC 7591
  assert.equal(made.client_secret_expires_at, 0)
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const back = await new Walker().to(`${as.authorization_endpoint}?${new URLSearchParams({
    client_id: made.client_id, redirect_uri, response_type: 'code', scope: 'openid', state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  })}`)
  const auth = oauth.ClientSecretBasic(made.client_secret)
  const callback = oauth.validateAuthResponse(as, made, back, state)
  const response = await oauth.authorizationCodeGrantRequest(as, made, auth, callback, redirect_uri, verifier, insecure)
  const tokens = await oauth.processAuthorizationCodeResponse(as, made, response, { requireIdToken: true })
  assert.equal(tokens.refresh_token, undefined) // it did not register for one

  await assert.rejects(async () => oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as,
    { redirect_uris: ['http://elsewhere.example/cb'] }, { ...insecure, initialAccessToken: initialToken('refused') })),
  (e) => e.error === 'invalid_redirect_uri')
})

test('without an initial access token', { skip: open }, async () => {
  const insecure = { [oauth.allowInsecureRequests]: true }
  const url = new URL(issuer)
  const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure))
  await assert.rejects(async () => oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(as, { redirect_uris: [redirect_uri] }, insecure)),
  (e) => e instanceof oauth.WWWAuthenticateChallengeError && e.status === 401)
})
