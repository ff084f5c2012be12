// Middleware for Express that checks the access tokens of a Jeton server,
// locally and with their status: what `docs/VERIFYING.md` asks of a verifier.
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import { Lists } from './lists.mjs'
import { Refusal, algorithms, words } from './refusal.mjs'

export class Verifier {
  #lists
  #keys
  #refresh
  #failures = 0
  // staleAfter, in milliseconds, is how long tokens are judged by lists that
  // cannot be refreshed; leeway, in seconds, how far two clocks may differ.
  // resource, an address of this API, has refusals name its metadata (RFC 9728).
  constructor({ issuer, audience, resource, realm = 'api', staleAfter = 5 * 60_000, leeway = 10 }) {
    if (!issuer || !audience) throw new Error('issuer and audience are needed: tokens for others would be accepted')
    if (!(staleAfter >= 10_000)) throw new Error('staleAfter is at least 10000 (ms): one request that fails would have all tokens refused')
    Object.assign(this, { issuer, audience, resource, realm, leeway })
    if (resource) this.described = describedAt(new URL(resource))
    this.#lists = new Lists({ issuer, staleAfter, leeway, keys: () => this.#keySet() })
  }

  close() {
    clearInterval(this.#refresh)
    this.#lists.close()
  }

  // verify returns the claims of a token, or throws a Refusal.
  async verify(token) {
    if (token.length > 16 << 10) throw new Refusal('too long')
    let claims
    try {
      ({ payload: claims } = await jwtVerify(token, await this.#keySet(), {
        issuer: this.issuer, audience: this.audience, typ: 'at+jwt', algorithms, clockTolerance: this.leeway,
        requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'],
      }))
    } catch (error) {
      throw fault(error)
    }
    if (claims.iat > Date.now() / 1000 + this.leeway) throw new Refusal('issued in the future')
    if (claims.cnf) throw new Refusal('bound to a key, which is not checked here')
    if (typeof (claims.scope ?? '') !== 'string' || !Array.isArray(claims.roles ?? [])) throw new Refusal('scope or roles are not what they should be')
    await this.#lists.check(claims.status?.status_list)
    return claims
  }

  // require lets through requests whose token has all the scopes and one of the
  // roles, as req.token, and answers all others by RFC 6750.
  require({ scopes = [], roles } = {}) {
    return async (req, res, next) => {
      try {
        const token = await this.verify(bearer(req))
        const has = (token.scope ?? '').split(' ')
        if (!scopes.every((scope) => has.includes(scope))) {
          throw new Refusal('a scope is missing', { status: 403, code: 'insufficient_scope', scope: scopes.join(' ') })
        }
        if (roles && !roles.some((role) => token.roles?.includes(role))) {
          throw new Refusal('a role is missing', { status: 403, code: 'access_denied' })
        }
        req.token = token
      } catch (error) {
        if (!(error instanceof Refusal)) return next(error)
        return this.#refuse(res, error)
      }
      next()
    }
  }

  // metadata is a handler for app.use: it answers where the metadata of this API
  // are, to whoever was refused and wants to know where its tokens come from.
  metadata(...scopes) {
    const { pathname } = new URL(this.described)
    const body = JSON.stringify({
      resource: this.resource, authorization_servers: [this.issuer], bearer_methods_supported: ['header'], scopes_supported: scopes.length ? scopes : undefined,
    })
    return (req, res, next) => {
      if (req.path !== pathname || !['GET', 'HEAD'].includes(req.method)) return next()
      res.set({ 'Content-Type': 'application/json', 'Cache-Control': 'public, max-age=300', 'Access-Control-Allow-Origin': '*', 'X-Content-Type-Options': 'nosniff' })
      res.end(body)
    }
  }

  #refuse(res, { status, code, scope }) {
    res.set({ 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
    if (status === 503) res.set('Retry-After', '5')
    if (status !== 503 && code !== 'access_denied') {
      let challenge = `Bearer realm="${this.realm}"`
      if (code !== 'no_token') challenge += `, error="${code}", error_description="${words[code]}"`
      if (scope) challenge += `, scope="${scope}"`
      if (this.described) challenge += `, resource_metadata="${this.described}"`
      res.set('WWW-Authenticate', challenge)
    }
    // Not res.json: it adds an ETag, which nobody may keep the answer for.
    res.status(status).end(JSON.stringify({ error: code === 'no_token' ? 'invalid_token' : code, error_description: words[code] }))
  }

  // The keys are found from the issuer, and asked for again every three minutes;
  // by jose for a kid that is not there, at most once in 2 s. While the issuer is
  // away they are good for some minutes more, as long as lists are.
  #keySet() {
    this.#keys ??= this.#discover().then((keys) => {
      this.#failures = 0
      return keys
    }, (error) => {
      // The failure is the answer to all for a while, longer and longer.
      const pause = Math.min(500 * 2 ** this.#failures++, 10_000) * (0.7 + 0.3 * Math.random())
      setTimeout(() => { this.#keys = undefined }, pause).unref()
      throw error
    })
    return this.#keys
  }

  async #discover() {
    const { origin, pathname } = new URL(this.issuer)
    let metadata
    try {
      const response = await fetch(`${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/$/, '')}`, {
        signal: AbortSignal.timeout(10_000), redirect: 'error',
      })
      if (!response.ok) throw new Error(`answered with ${response.status}`)
      metadata = await response.json()
    } catch (error) {
      throw new Refusal(`the metadata cannot be had: ${error.message}`, { status: 503 })
    }
    if (metadata.issuer !== this.issuer) throw new Refusal(`the metadata are of the issuer ${metadata.issuer}`, { status: 503 })
    const keys = createRemoteJWKSet(new URL(metadata.jwks_uri), { cacheMaxAge: 8 * 60_000, cooldownDuration: 2000, timeoutDuration: 10_000 })
    this.#refresh = setInterval(() => keys.reload().catch(() => {}), 3 * 60_000).unref()
    return keys
  }
}

// describedAt is where the metadata of a resource are (RFC 9728 §3.1).
function describedAt({ origin, pathname, search }) {
  return `${origin}/.well-known/oauth-protected-resource${pathname === '/' ? '' : pathname}${search}`
}

// fault tells a token that is wrong from keys that cannot be had.
function fault(error) {
  if (error instanceof Refusal) return error
  const away = !(error instanceof errors.JOSEError) || error.code === 'ERR_JOSE_GENERIC' || error instanceof errors.JWKSTimeout
    || error instanceof errors.JWKSInvalid
  return new Refusal(error.message, away ? { status: 503 } : {})
}

// bearer finds the token, in the Authorization header alone (RFC 6750 §2.1).
function bearer(req) {
  const bad = (message) => new Refusal(message, { status: 400, code: 'invalid_request' })
  if (new URLSearchParams(req.originalUrl.replace(/^[^?]*/, '')).has('access_token')) throw bad('a token in the URI')
  const sent = req.headersDistinct.authorization ?? []
  if (sent.length > 1) throw bad('two Authorization headers')
  const [, scheme, token] = /^(\S+) *(.*)$/.exec(sent[0] ?? '') ?? []
  if (scheme?.toLowerCase() !== 'bearer') throw new Refusal('no token', { code: 'no_token' })
  if (!/^[\w.~+/-]+=*$/.test(token)) throw bad('not one token')
  return token
}
