import assert from 'node:assert/strict'
import test from 'node:test'
import * as client from 'openid-client'
import { issuer, clientID, clientSecret, publicID, username } from './jeton.mjs'
import { Walker } from './walk.mjs'

const redirect_uri = 'http://127.0.0.1:3999/cb'

const discover = (id, auth, algorithm = 'oidc') =>
  client.discovery(new URL(issuer), id, undefined, auth, { algorithm, execute: [client.allowInsecureRequests] })

// run is a login as an application does it; par pushes the request first.
async function run(config, parameters, par) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = parameters.scope.includes('openid') ? client.randomNonce() : undefined
  const asked = {
    redirect_uri, state: expectedState, code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
    ...(expectedNonce && { nonce: expectedNonce }), ...parameters,
  }
  const url = par ? await client.buildAuthorizationUrlWithPAR(config, asked) : client.buildAuthorizationUrl(config, asked)
  const back = await new Walker().to(url)
  return client.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: Boolean(expectedNonce) })
}

for (const par of [false, true]) {
  test(`OpenID Connect with PKCE${par ? ' and PAR' : ''}`, async () => {
    const config = await discover(clientID, client.ClientSecretBasic(clientSecret))
    const tokens = await run(config, { scope: 'openid profile email offline_access', max_age: '3600' }, par)
    const claims = tokens.claims()
    assert.equal(claims.iss, issuer)
    assert.deepEqual([claims.aud].flat(), [clientID])
    assert.equal(claims.preferred_username, username)
    assert.equal(claims.acr, 'urn:jeton:acr:password')
    const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
    assert.equal(info.preferred_username, username)
    const second = await client.refreshTokenGrant(config, tokens.refresh_token)
    assert.notEqual(second.refresh_token, tokens.refresh_token)
    for (const same of ['iss', 'sub', 'sid', 'auth_time', 'acr']) assert.equal(second.claims()[same], claims[same])
    assert.equal(second.claims().nonce, undefined)
    await client.tokenRevocation(config, second.refresh_token)
    assert.equal((await client.tokenIntrospection(config, second.access_token)).active, false)
  })
}

test('a public client', async () => {
  const config = await discover(publicID, client.None(), 'oauth2')
  const tokens = await run(config, { scope: 'read' })
  assert.equal(tokens.scope, 'read')
  assert.equal(tokens.id_token, undefined)
})

test('resource indicators', async () => {
  const config = await discover(clientID, client.ClientSecretPost(clientSecret))
  await assert.rejects(run(config, { scope: 'read', resource: 'https://elsewhere.example' }), (e) => e.error === 'invalid_target')
})

test('signing out', async () => {
  const config = await discover(clientID, client.ClientSecretBasic(clientSecret))
  const { id_token } = await run(config, { scope: 'openid' })
  const back = await new Walker().to(client.buildEndSessionUrl(config, { id_token_hint: id_token, post_logout_redirect_uri: 'http://127.0.0.1:3999/bye', state: 's' }))
  assert.equal(back.href, 'http://127.0.0.1:3999/bye?state=s')
})
