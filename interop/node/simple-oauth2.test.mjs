import assert from 'node:assert/strict'
import test from 'node:test'
import { ClientCredentials, ResourceOwnerPassword } from 'simple-oauth2'
import { issuer, clientID, clientSecret, username, password } from './jeton.mjs'

for (const authorizationMethod of ['header', 'body']) {
  const config = {
    client: { id: clientID, secret: clientSecret },
    auth: { tokenHost: issuer, tokenPath: '/token', revokePath: '/revoke' },
    options: { authorizationMethod, credentialsEncodingMode: 'strict' },
  }

  test(`${authorizationMethod}: log in, refresh, revoke`, async () => {
    const first = await new ResourceOwnerPassword(config).getToken({ username, password, scope: 'read write' })
    assert.equal(first.expired(1700), false)
    assert.equal(first.expired(1900), true)
    const second = await first.refresh()
    assert.notEqual(second.token.refresh_token, first.token.refresh_token)
    await second.revokeAll()
    await assert.rejects(second.refresh(), (e) => {
      assert.equal(e.output.statusCode, 400)
      assert.equal(e.data.payload.error, 'invalid_grant')
      return true
    })
  })

  test(`${authorizationMethod}: client credentials`, async () => {
    const token = await new ClientCredentials(config).getToken({ scope: 'read' })
    assert.equal(token.token.scope, 'read')
    assert.equal(token.token.refresh_token, undefined)
  })
}
