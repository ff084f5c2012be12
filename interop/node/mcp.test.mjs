import assert from 'node:assert/strict'
import test from 'node:test'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { auth, UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { decodeJwt } from 'jose'
import { issuer } from './jeton.mjs'
import { Walker } from './walk.mjs'

const { INTEROP_MCP: server, INTEROP_DOCUMENT: document, INTEROP_REDIRECT: redirectUrl } = process.env

// Provider is what the SDK asks of a program: to keep things, and to open a
// browser.
class Provider {
  constructor(clientMetadataUrl) { this.clientMetadataUrl = clientMetadataUrl }
  redirectUrl = redirectUrl
  clientMetadata = {
    client_name: 'An MCP client', redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  }
  state() { return 'a state that nobody guesses' }
  clientInformation() { return this.client }
  saveClientInformation(client) { this.client = client }
  tokens() { return this.kept }
  saveTokens(tokens) { this.kept = tokens }
  saveCodeVerifier(verifier) { this.verifier = verifier }
  codeVerifier() { return this.verifier }
  redirectToAuthorization(url) { this.sent = url }
}

async function connected(provider) {
  const transport = new StreamableHTTPClientTransport(new URL(server), { authProvider: provider })
  const client = new Client({ name: 'interop', version: '1' })
  await client.connect(transport)
  assert.equal(client.getServerVersion().name, 'notes')
  await client.close()
}

async function run(provider) {
  const transport = new StreamableHTTPClientTransport(new URL(server), { authProvider: provider })
  await assert.rejects(new Client({ name: 'interop', version: '1' }).connect(transport), UnauthorizedError)
  assert.equal(provider.sent.origin, new URL(issuer).origin)
  assert.equal(provider.sent.searchParams.get('resource'), server)
  const back = await new Walker().to(provider.sent)
  assert.equal(back.searchParams.get('state'), provider.state())
  assert.equal(back.searchParams.get('iss'), issuer)
  await transport.finishAuth(back.searchParams.get('code'))
  const claims = decodeJwt(provider.kept.access_token)
  assert.deepEqual([claims.aud].flat(), [server])
  assert.equal(claims.client_id, provider.client.client_id)
  await connected(provider)

  // What the access token cannot do any more, the refresh token does.
  const first = provider.kept
  provider.kept = { ...first, access_token: 'x' }
  assert.equal(await auth(provider, { serverUrl: server }), 'AUTHORIZED')
  assert.notEqual(provider.kept.refresh_token, first.refresh_token)
  assert.deepEqual([decodeJwt(provider.kept.access_token).aud].flat(), [server])
  await connected(provider)
}

test('a client with a document', async () => {
  const provider = new Provider(document)
  await run(provider)
  assert.equal(provider.client.client_id, document)
})

// Without a document the SDK registers the client, and gets as far.
test('a client that registers itself', async () => {
  const provider = new Provider()
  await run(provider)
  assert.ok(!provider.client.client_id.startsWith('https://'))
})
