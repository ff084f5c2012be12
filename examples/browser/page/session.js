// Session keeps a page logged in whose tokens no script ever sees: they travel
// in cookies that only the browser reads. Copy this file; it needs nothing else.
//
//   const session = new Session({ client: 'shop', who: '/api/me' })
//   await session.login(name, password)
//   const response = await session.fetch('/api/orders')
//   await session.logout()
//   session.addEventListener('change', () => show(session.active))
//
// The page, the API and Jeton have to be at one origin (docs/OPERATING.md,
// "Cookies for pages").

// Refused is an answer that will not change by asking again. Its code is the
// error of RFC 6749, such as invalid_grant.
export class Refused extends Error {
  constructor({ error = 'unknown', error_description: words = '' }, status) {
    super(words || `the server answered ${status}`)
    this.name = 'Refused'
    this.code = error
  }
}

// Unavailable is no answer, or one that says to come back. Nothing is lost by
// it: whoever was logged in still is.
export class Unavailable extends Error {
  constructor(seconds) {
    super('the server does not answer')
    this.name = 'Unavailable'
    this.retryAfter = seconds // undefined where the server did not say
  }
}

// How long to wait before a refresh, or a logout, is tried again. An answer that
// was lost is found again within the client's retry window, 10 s unless set: the
// second try has to come well before its end.
const pauses = [300, 1000, 2500]
const patience = 4000 // for one answer

// reach is fetch, with a failure that no mistake of the caller's looks like.
const reach = (request, init) => fetch(request, init).catch((error) => {
  throw ['TypeError', 'TimeoutError'].includes(error.name) ? new Unavailable() : error
})

const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

export class Session extends EventTarget {
  #client
  #at
  #who
  #renewing

  // client is its client_id. at is the path of /session below the issuer. who is
  // a path of the API that answers 401 without a valid token, cheaply and by GET.
  constructor({ client, at = '/session', who }) {
    super()
    this.#client = client
    this.#at = at
    this.#who = who
    // Another tab has logged in, out, or was refused.
    addEventListener('storage', (event) => {
      if (event.key === this.#mark || event.key === null) this.#changed()
    })
    // This one comes out of the browser's cache, and may have missed it.
    addEventListener('pageshow', (event) => {
      if (event.persisted) this.#changed()
    })
  }

  // active says whether somebody has logged in here and not been logged out, as
  // far as this browser knows. It opens nothing: the cookies do.
  get active() {
    return localStorage.getItem(this.#mark) !== null
  }

  // login trades name and password for cookies. It throws a Refused or an
  // Unavailable.
  login(username, password) {
    return this.#alone(async () => {
      await this.#ask('/token', { grant_type: 'password', username, password }, 1)
      this.#note(Date.now()) // another value each time, so that other tabs see another user
    })
  }

  // logout ends the session and takes the cookies away. If it throws, the user is
  // still logged in, and must not be told otherwise.
  logout() {
    return this.#alone(async () => {
      await this.#ask('/revoke', {})
      this.#note(null)
    })
  }

  // fetch is the browser's, for the API: a 401 has the access token refreshed and
  // the request sent once more. It takes what fetch takes, and throws an
  // Unavailable where nobody answers.
  async fetch(input, init) {
    const request = new Request(input, init)
    if (new URL(request.url).origin !== location.origin) {
      throw new TypeError('the cookies go to this origin only')
    }
    request.headers.set('X-CSRF', '1') // no page of another origin can send it unasked
    const again = request.clone()
    const since = localStorage.getItem(this.#mark)
    const response = await reach(request)
    if (response.status !== 401 || !this.active || !await this.#renew()) return response
    // Somebody else has logged in meanwhile: what this one asked for is not theirs.
    return localStorage.getItem(this.#mark) === since ? reach(again) : response
  }

  // renew makes sure that there is a valid access token, and says whether there
  // is. All calls of this tab share one attempt.
  #renew() {
    this.#renewing ??= this.#alone(() => this.#refresh()).finally(() => { this.#renewing = undefined })
    return this.#renewing
  }

  // Whoever waited here for another tab finds its work done. The API knows best
  // whether it was: what tabs tell each other may come later than the lock.
  async #refresh() {
    if (!this.active) return false // logged out meanwhile
    const seen = await reach(this.#who, { cache: 'no-store', signal: AbortSignal.timeout(patience) })
    if (seen.status !== 401) return true
    try {
      await this.#ask('/token', { grant_type: 'refresh_token' })
      return true
    } catch (error) {
      // The second asks for a new login because of another browser or network.
      if (!(error instanceof Refused) || !['invalid_grant', 'insufficient_user_authentication'].includes(error.code)) throw error
      this.#note(null)
      return false
    }
  }

  // ask sends a form to Jeton. Where no answer comes it asks again: a refresh
  // whose answer was lost gets the same successor then (the retry window), and a
  // logout is none until it was confirmed.
  async #ask(path, fields, tries = pauses.length + 1) {
    for (let i = 0; ; i++) {
      const answer = await reach(this.#at + path, {
        method: 'POST',
        headers: { 'X-CSRF': '1' },
        body: new URLSearchParams({ client_id: this.#client, ...fields }),
        cache: 'no-store',
        redirect: 'error',
        keepalive: true, // goes on, with its cookies, when the page is left
        signal: AbortSignal.timeout(patience),
      }).catch((error) => { if (!(error instanceof Unavailable)) throw error })
      if (answer?.ok) return
      if (answer && answer.status < 500 && answer.status !== 429) {
        throw new Refused(await answer.json().catch(() => ({})), answer.status)
      }
      const told = Number(answer?.headers.get('Retry-After')) || undefined // seconds
      if (i + 1 >= tries || told > patience / 1000 * 2) throw new Unavailable(told)
      await sleep(Math.max(pauses[i], (told ?? 0) * 1000))
    }
  }

  // alone runs one act at a time, over all tabs: each of them ends in cookies,
  // which all tabs share. A tab that is closed lets go by itself. Without Web
  // Locks (very old browsers, http) two tabs may refresh at once, which the retry
  // window bears.
  #alone(act) {
    return navigator.locks ? navigator.locks.request(this.#mark, act) : act()
  }

  get #mark() {
    return `session of ${this.#client}`
  }

  #note(since) {
    if (since === null) localStorage.removeItem(this.#mark)
    else localStorage.setItem(this.#mark, since)
    this.#changed()
  }

  #changed() {
    this.dispatchEvent(new Event('change'))
  }
}
