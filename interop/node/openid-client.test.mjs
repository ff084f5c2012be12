import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import * as client from 'openid-client'
import { importJWK } from 'jose'
import { issuer, clientID, clientSecret, publicID, username, password } from './jeton.mjs'

// The server of the tests speaks http on this machine.
const discover = (id, auth, algorithm = 'oauth2') =>
  client.discovery(new URL(issuer), id, undefined, auth, { algorithm, execute: [client.allowInsecureRequests] })

const refusedWith = (error, status) => (e) => {
  assert.equal(e.error, error)
  assert.equal(e.status, status)
  return true
}

for (const [name, auth] of Object.entries({
  client_secret_basic: client.ClientSecretBasic(clientSecret),
  client_secret_post: client.ClientSecretPost(clientSecret),
})) {
  test(`${name}: log in, refresh, introspect, revoke`, async () => {
    const config = await discover(clientID, auth)
    assert.equal(config.serverMetadata().issuer, issuer)

    const first = await client.genericGrantRequest(config, 'password', { username, password, scope: 'read write' })
    assert.equal(first.token_type, 'bearer') // openid-client writes it in lower case
    assert.equal(first.scope, 'read write')
    assert.ok(first.expiresIn() > 1700)

    const seen = await client.tokenIntrospection(config, first.access_token)
    assert.equal(seen.active, true)
    assert.equal(seen.username, username)
    assert.equal(seen.client_id, clientID)
    assert.equal(seen.iss, issuer)

    const narrow = await client.refreshTokenGrant(config, first.refresh_token, { scope: 'read' })
    assert.equal(narrow.scope, 'read')
    const second = await client.refreshTokenGrant(config, narrow.refresh_token)
    assert.equal(second.scope, 'read write')
    assert.notEqual(second.refresh_token, first.refresh_token)
    // An ordinary refresh leaves the older access token alone.
    assert.equal((await client.tokenIntrospection(config, first.access_token)).active, true)

    await client.tokenRevocation(config, second.refresh_token)
    for (const { access_token } of [first, narrow, second]) {
      assert.deepEqual({ ...(await client.tokenIntrospection(config, access_token)) }, { active: false })
    }
    await assert.rejects(client.refreshTokenGrant(config, second.refresh_token), refusedWith('invalid_grant', 400))
  })

  test(`${name}: client credentials`, async () => {
    const config = await discover(clientID, auth)
    const token = await client.clientCredentialsGrant(config, { scope: 'read' })
    assert.equal(token.scope, 'read')
    assert.equal(token.refresh_token, undefined)
    await client.tokenRevocation(config, token.access_token, { token_type_hint: 'access_token' })
    assert.equal((await client.tokenIntrospection(config, token.access_token)).active, false)
  })
}

test('a replayed refresh token ends the session', async () => {
  const config = await discover(clientID, client.ClientSecretBasic(clientSecret))
  const first = await client.genericGrantRequest(config, 'password', { username, password })
  const second = await client.refreshTokenGrant(config, first.refresh_token)
  await assert.rejects(client.refreshTokenGrant(config, first.refresh_token), refusedWith('invalid_grant', 400))
  await assert.rejects(client.refreshTokenGrant(config, second.refresh_token), refusedWith('invalid_grant', 400))
  assert.equal((await client.tokenIntrospection(config, second.access_token)).active, false)
})

test('a public client says only its name', async () => {
  const config = await discover(publicID, client.None())
  const first = await client.genericGrantRequest(config, 'password', { username, password })
  const second = await client.refreshTokenGrant(config, first.refresh_token)
  assert.notEqual(second.refresh_token, first.refresh_token)
  await client.tokenRevocation(config, second.refresh_token)
  await assert.rejects(client.refreshTokenGrant(config, second.refresh_token), refusedWith('invalid_grant', 400))
  await assert.rejects(client.clientCredentialsGrant(config), refusedWith('unauthorized_client', 400))
})

test('private_key_jwt', async () => {
  const jwk = JSON.parse(readFileSync(process.env.INTEROP_PRIVATE_KEY, 'utf8'))
  const key = { key: await importJWK(jwk), kid: jwk.kid }
  const config = await discover('signer', client.PrivateKeyJwt(key))
  const token = await client.clientCredentialsGrant(config)
  assert.equal(token.scope, 'read')
  assert.equal((await client.tokenIntrospection(config, token.access_token)).active, true)
  await client.tokenRevocation(config, token.access_token)
  assert.equal((await client.tokenIntrospection(config, token.access_token)).active, false)
})

test('a wrong secret is told with a challenge', async () => {
  const config = await discover(clientID, client.ClientSecretBasic('wrong'))
  await assert.rejects(client.clientCredentialsGrant(config), (e) => {
    assert.equal(e.code, 'OAUTH_WWW_AUTHENTICATE_CHALLENGE')
    assert.equal(e.status, 401)
    assert.equal(e.cause[0].scheme, 'basic')
    return true
  })
})

test('discovery by openid-configuration', async () => {
  const config = await discover(clientID, client.ClientSecretBasic(clientSecret), 'oidc')
  assert.equal(config.serverMetadata().token_endpoint, `${issuer}/token`)
})

// The server wants a nonce in each proof, which openid-client learns by being
// refused.
test('DPoP with nonces', async () => {
  const confidential = await discover(clientID, client.ClientSecretBasic(clientSecret))
  const bound = async (config) => ({ DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) })
  const own = await client.clientCredentialsGrant(confidential, {}, await bound(confidential))
  assert.equal(own.token_type, 'dpop')

  const config = await discover(publicID, client.None())
  const key = await bound(config)
  const first = await client.genericGrantRequest(config, 'password', { username, password }, key)
  assert.equal(first.token_type, 'dpop')
  const second = await client.refreshTokenGrant(config, first.refresh_token, {}, key)
  // The refresh token of a public client is worth nothing without its key.
  await assert.rejects(client.refreshTokenGrant(config, second.refresh_token), refusedWith('invalid_grant', 400))
  await assert.rejects(client.refreshTokenGrant(config, second.refresh_token, {}, await bound(config)), refusedWith('invalid_grant', 400))
  assert.equal((await client.refreshTokenGrant(config, second.refresh_token, {}, key)).token_type, 'dpop')
})
