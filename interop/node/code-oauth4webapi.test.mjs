import assert from 'node:assert/strict'
import test from 'node:test'
import * as oauth from 'oauth4webapi'
import { issuer, clientID, clientSecret } from './jeton.mjs'
import { Walker } from './walk.mjs'

const insecure = { [oauth.allowInsecureRequests]: true } // http on this machine
const client = { client_id: clientID }
const auth = oauth.ClientSecretBasic(clientSecret)
const redirect_uri = 'http://127.0.0.1:3999/cb'

for (const par of [false, true]) {
  test(`a login by the letter${par ? ', pushed' : ''}`, async () => {
    const url = new URL(issuer)
    const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure))
    assert.deepEqual(as.code_challenge_methods_supported, ['S256'])
    const verifier = oauth.generateRandomCodeVerifier()
    const state = oauth.generateRandomState()
    const nonce = oauth.generateRandomNonce()
    let parameters = new URLSearchParams({
      client_id: clientID, redirect_uri, response_type: 'code', scope: 'openid email read', state, nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    })
    if (par) {
      const response = await oauth.pushedAuthorizationRequest(as, client, auth, parameters, insecure)
      const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, response)
      parameters = new URLSearchParams({ client_id: clientID, request_uri })
    }
    const back = await new Walker().to(`${as.authorization_endpoint}?${parameters}`)
    const callback = oauth.validateAuthResponse(as, client, back, state) // iss too: RFC 9207
    const response = await oauth.authorizationCodeGrantRequest(as, client, auth, callback, redirect_uri, verifier, insecure)
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true })
    await oauth.validateApplicationLevelSignature(as, response, insecure)
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    const info = await oauth.processUserInfoResponse(as, client, claims.sub, await oauth.userInfoRequest(as, client, tokens.access_token, insecure))
    assert.equal(info.sub, claims.sub)

    // The same callback once more: the code is spent, and what it gave has ended.
    const again = await oauth.authorizationCodeGrantRequest(as, client, auth, callback, redirect_uri, verifier, insecure)
    await assert.rejects(oauth.processAuthorizationCodeResponse(as, client, again), (e) => e.error === 'invalid_grant')
    const dead = await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, insecure)
    await assert.rejects(oauth.processRefreshTokenResponse(as, client, dead), (e) => e.error === 'invalid_grant')
  })
}

test('a login bound to a key: DPoP, refresh, introspection, revocation', async () => {
  const url = new URL(issuer)
  const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure))
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const bound = { DPoP: oauth.DPoP(client, await oauth.generateKeyPair('ES256')), ...insecure }
  const back = await new Walker().to(`${as.authorization_endpoint}?${new URLSearchParams({
    client_id: clientID, redirect_uri, response_type: 'code', scope: 'read', state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  })}`)
  const callback = oauth.validateAuthResponse(as, client, back, state)
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, callback, redirect_uri, verifier, bound)
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response)
  assert.equal(tokens.token_type, 'dpop')
  const next = await oauth.processRefreshTokenResponse(as, client,
    await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, bound))
  assert.equal(next.token_type, 'dpop')
  const introspect = async (token) => oauth.processIntrospectionResponse(as, client,
    await oauth.introspectionRequest(as, client, auth, token, insecure))
  assert.deepEqual((await introspect(next.access_token)).cnf, { jkt: await bound.DPoP.calculateThumbprint() })
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, next.refresh_token, insecure))
  assert.equal((await introspect(next.access_token)).active, false)
  assert.equal((await introspect(tokens.access_token)).active, false)
})
