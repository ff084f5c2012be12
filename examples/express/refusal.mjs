// algorithms are all that Jeton signs with. None is symmetric.
export const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']

// Refusal is why a request is not let through. What it says in words is for the
// log; 503 is no fault of the token.
export class Refusal extends Error {
  constructor(message, { status = 401, code = status === 503 ? 'temporarily_unavailable' : 'invalid_token', scope } = {}) {
    super(message)
    Object.assign(this, { status, code, scope })
  }
}
