import assert from 'node:assert/strict'
import test from 'node:test'
import * as client from 'openid-client'
import { issuer, clientID, clientSecret, publicID, username } from './jeton.mjs'
import { Walker } from './walk.mjs'

const redirect_uri = 'http://127.0.0.1:3999/cb'

const discover = (id, auth, algorithm = 'oidc') =>
  client.discovery(new URL(issuer), id, undefined, auth, { algorithm, execute: [client.allowInsecureRequests] })

// run is a login as an application does it; par pushes the request first, a
// DPoP handle binds all of it to its key.
async function run(config, parameters, par, bound) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = parameters.scope.includes('openid') ? client.randomNonce() : undefined
  const asked = {
    redirect_uri, state: expectedState, code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
    ...(expectedNonce && { nonce: expectedNonce }), ...parameters,
  }
  const url = par ? await client.buildAuthorizationUrlWithPAR(config, asked, bound) : client.buildAuthorizationUrl(config, asked)
  const back = await new Walker().to(url)
  return client.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: Boolean(expectedNonce) }, undefined, bound)
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

test('DPoP: a pushed request, its code, and /userinfo are bound to the key', async () => {
  const config = await discover(clientID, client.ClientSecretBasic(clientSecret))
  const handle = async () => ({ DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) })
  const bound = await handle()
  const tokens = await run(config, { scope: 'openid email' }, true, bound)
  assert.equal(tokens.token_type, 'dpop')
  const { sub } = tokens.claims()
  assert.equal((await client.fetchUserInfo(config, tokens.access_token, sub, bound)).sub, sub)
  const wrong = (options) => assert.rejects(client.fetchUserInfo(config, tokens.access_token, sub, options), (e) => e.status === 401 || e.cause?.status === 401 || e.response?.status === 401)
  await wrong(undefined)
  await wrong(await handle())
  const fresh = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, bound)
  assert.equal(fresh.token_type, 'dpop')
  assert.equal(fresh.claims().sub, sub)
  // Another key is refused at /token.
  const other = await handle()
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const url = await client.buildAuthorizationUrlWithPAR(config, {
    redirect_uri, scope: 'openid', code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
  }, bound)
  const back = await new Walker().to(url)
  await assert.rejects(client.authorizationCodeGrant(config, back, { pkceCodeVerifier }, undefined, other), (e) => e.error === 'invalid_grant')
})

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

test('a login whose tokens are bound to a key (DPoP)', async () => {
  for (const [id, auth] of [[clientID, client.ClientSecretBasic(clientSecret)], [publicID, client.None()]]) {
    const config = await discover(id, auth, 'oauth2')
    const key = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) }
    const tokens = await run(config, { scope: 'read' }, false, key)
    assert.equal(tokens.token_type, 'dpop')
    const second = await client.refreshTokenGrant(config, tokens.refresh_token, {}, key)
    assert.equal(second.token_type, 'dpop')
    if (id === clientID) {
      const seen = await client.tokenIntrospection(config, second.access_token)
      assert.equal(seen.active, true)
      assert.ok(seen.cnf.jkt)
    }
    await client.tokenRevocation(config, second.refresh_token)
    await assert.rejects(client.refreshTokenGrant(config, second.refresh_token, {}, key), (e) => e.error === 'invalid_grant')
  }
})

test('answers that were tampered with are refused by the library', async () => {
  const config = await discover(clientID, client.ClientSecretBasic(clientSecret))
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const asked = { redirect_uri, scope: 'read', state: 'mine', code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256' }
  const answer = () => new Walker().to(client.buildAuthorizationUrl(config, asked))
  const redeem = (url, verifier = pkceCodeVerifier) => client.authorizationCodeGrant(config, url, { pkceCodeVerifier: verifier, expectedState: 'mine' })
  const about = (word) => (e) => `${e.message} ${e.cause?.message}`.includes(word)
  const mixedUp = await answer()
  mixedUp.searchParams.set('iss', 'https://evil.example')
  await assert.rejects(redeem(mixedUp), about('iss'))
  const bare = await answer()
  bare.searchParams.delete('iss')
  await assert.rejects(redeem(bare), about('iss'))
  const another = await answer()
  another.searchParams.set('state', 'theirs')
  await assert.rejects(redeem(another), about('state'))
  const injected = await answer()
  await assert.rejects(redeem(injected, client.randomPKCECodeVerifier()), (e) => e.error === 'invalid_grant')
  await assert.rejects(redeem(injected), (e) => e.error === 'invalid_grant')
})
