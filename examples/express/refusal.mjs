// algorithms are all that Jeton signs with. None is symmetric.
export const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']

// words are what callers are told, by the code.
export const words = {
  no_token: 'This needs an access token.',
  invalid_request: 'This is no request with one access token in one Authorization header.',
  invalid_token: 'The access token is invalid, expired, revoked or not for this API.',
  insufficient_scope: 'The access token lacks a scope that this needs.',
  access_denied: 'The user may not do this.',
  temporarily_unavailable: 'Access tokens cannot be checked at the moment; try again shortly.',
}

// Refusal is why a request is not let through. What it says in words is for the
// log; 503 is no fault of the token.
export class Refusal extends Error {
  constructor(message, { status = 401, code = status === 503 ? 'temporarily_unavailable' : 'invalid_token', scope } = {}) {
    super(message)
    Object.assign(this, { status, code, scope })
  }
}
