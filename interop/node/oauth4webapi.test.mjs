import assert from 'node:assert/strict'
import test from 'node:test'
import * as oauth from 'oauth4webapi'
import { issuer, clientID, clientSecret, username, password, audience } from './jeton.mjs'

const insecure = { [oauth.allowInsecureRequests]: true } // http on this machine
const client = { client_id: clientID }
const auth = oauth.ClientSecretBasic(clientSecret)

async function discover() {
  const url = new URL(issuer)
  const response = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure })
  return oauth.processDiscoveryResponse(url, response)
}

async function login(as) {
  const response = await oauth.genericTokenEndpointRequest(as, client, auth, 'password', { username, password }, insecure)
  return oauth.processGenericTokenEndpointResponse(as, client, response)
}

// An API's check of a request, which asks for typ at+jwt and all claims of
// RFC 9068.
function atAPI(as, token) {
  const request = new Request('https://api.example.com/things', { headers: { authorization: `Bearer ${token}` } })
  return oauth.validateJwtAccessToken(as, request, audience, insecure)
}

test('an access token of a user is one of RFC 9068', async () => {
  const as = await discover()
  const claims = await atAPI(as, (await login(as)).access_token)
  assert.equal(claims.client_id, clientID)
  assert.equal(claims.scope, 'read write')
  assert.deepEqual(claims.roles, ['ROLE_USER'])
  assert.ok(claims.sid && claims.jti && claims.sub && claims.sub !== username)
})

test('an access token of a client is one of RFC 9068', async () => {
  const as = await discover()
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, { scope: 'read' }, insecure)
  const token = await oauth.processClientCredentialsResponse(as, client, response)
  const claims = await atAPI(as, token.access_token)
  assert.equal(claims.sub, clientID)
  assert.equal(claims.sid, undefined)
})

test('a refresh token is no access token', async () => {
  const as = await discover()
  await assert.rejects(atAPI(as, (await login(as)).refresh_token))
})

test('refresh, introspect, revoke', async () => {
  const as = await discover()
  const first = await login(as)
  const response = await oauth.refreshTokenGrantRequest(as, client, auth, first.refresh_token, insecure)
  const second = await oauth.processRefreshTokenResponse(as, client, response)
  assert.notEqual(second.refresh_token, first.refresh_token)
  await atAPI(as, second.access_token)

  const introspect = async () => oauth.processIntrospectionResponse(as, client,
    await oauth.introspectionRequest(as, client, auth, second.access_token, insecure))
  assert.equal((await introspect()).active, true)
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, second.refresh_token, insecure))
  assert.equal((await introspect()).active, false)
})

test('a wrong password is invalid_grant', async () => {
  const as = await discover()
  const response = await oauth.genericTokenEndpointRequest(as, client, auth, 'password',
    { username, password: 'not this one, surely' }, insecure)
  await assert.rejects(oauth.processGenericTokenEndpointResponse(as, client, response), { error: 'invalid_grant', status: 400 })
})

test('DPoP: tokens are bound to a key, and refreshed with it', async () => {
  const as = await discover()
  const keyPair = await oauth.generateKeyPair('ES256')
  const DPoP = oauth.DPoP(client, keyPair)
  const bound = { DPoP, ...insecure }
  const own = await oauth.processClientCredentialsResponse(as, client,
    await oauth.clientCredentialsGrantRequest(as, client, auth, { scope: 'read' }, bound))
  assert.equal(own.token_type, 'dpop')

  const login = await oauth.processGenericTokenEndpointResponse(as, client,
    await oauth.genericTokenEndpointRequest(as, client, auth, 'password', { username, password }, bound))
  const next = await oauth.processRefreshTokenResponse(as, client,
    await oauth.refreshTokenGrantRequest(as, client, auth, login.refresh_token, bound))
  assert.equal(next.token_type, 'dpop')
  const thumbprint = await DPoP.calculateThumbprint()
  for (const { access_token } of [own, login, next]) {
    const seen = await oauth.processIntrospectionResponse(as, client,
      await oauth.introspectionRequest(as, client, auth, access_token, insecure))
    assert.equal(seen.token_type, 'DPoP')
    assert.deepEqual(seen.cnf, { jkt: thumbprint })
    // Its own check of a request refuses the token without the proof.
    await assert.rejects(atAPI(as, access_token))
  }
})
