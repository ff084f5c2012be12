import assert from 'node:assert/strict'
import test from 'node:test'
import * as client from 'openid-client'
import { issuer, clientID, clientSecret, publicID, username } from './jeton.mjs'
import { Walker } from './walk.mjs'

const discover = (id, auth, algorithm = 'oidc') =>
  client.discovery(new URL(issuer), id, undefined, auth, { algorithm, execute: [client.allowInsecureRequests] })

// run is a login on a device: it waits while the user is at the pages.
async function run(config, parameters, decision, options) {
  const asked = await client.initiateDeviceAuthorization(config, parameters)
  assert.equal(asked.verification_uri, `${issuer}/device`)
  const tokens = client.pollDeviceAuthorizationGrant(config, asked, undefined, options)
  const end = await new Walker().through(asked.verification_uri_complete, decision)
  return { asked, end, tokens }
}

test('OpenID Connect on a device', async () => {
  const config = await discover(clientID, client.ClientSecretBasic(clientSecret))
  const { end, tokens } = await run(config, { scope: 'openid profile read' }, 'allow')
  assert.match(end, /Your device is connected/)
  const got = await tokens
  const claims = got.claims()
  assert.equal(claims.preferred_username, username)
  assert.deepEqual([claims.aud].flat(), [clientID])
  assert.equal((await client.fetchUserInfo(config, got.access_token, claims.sub)).preferred_username, username)
  const second = await client.refreshTokenGrant(config, got.refresh_token)
  assert.notEqual(second.refresh_token, got.refresh_token)
})

test('a public client, with DPoP', async () => {
  const config = await discover(publicID, client.None(), 'oauth2')
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair())
  const { tokens } = await run(config, { scope: 'read' }, 'allow', { DPoP })
  const got = await tokens
  assert.equal(got.token_type, 'dpop')
  await assert.rejects(client.refreshTokenGrant(config, got.refresh_token), (e) => e.error === 'invalid_grant')
  assert.ok((await client.refreshTokenGrant(config, got.refresh_token, undefined, { DPoP })).access_token)
})

test('the user says no', async () => {
  const config = await discover(publicID, client.None(), 'oauth2')
  const { end, tokens } = await run(config, { scope: 'read' }, 'deny')
  assert.match(end, /Nothing was allowed/)
  await assert.rejects(tokens, (e) => e.error === 'access_denied')
})
