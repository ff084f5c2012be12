// Session keeps a page logged in whose tokens no script ever sees: they travel
// in cookies that only the browser reads. It logs in by the authorization code
// flow with PKCE, at Jeton's own pages, so that no password is typed here (RFC
// 9700 §2.4). Copy this file; it needs nothing else.
//
//   const session = new Session({ client: 'shop', issuer: 'https://id.example.com', who: '/api/me' })
//   session.addEventListener('change', () => show(session.active))
//   await session.arrive() // first of all, each time the page is loaded
//   await session.login() // leaves the page, and comes back to it
//   const response = await session.fetch('/api/orders')
//   await session.logout()
//
// The page, the API and two paths of Jeton have to be at one origin, Jeton's own
// pages better at another (docs/OPERATING.md, "Cookies for pages").

// Refused is an answer that will not change by asking again. Its code is the
// error of RFC 6749, such as access_denied; 'unasked' is said here. It has a
// status if it answered a request, and none if the browser came back with it.
export class Refused extends Error {
  constructor({ error = 'unknown', error_description: words = '' }, status) {
    super(words || `the server answered ${status ?? error}`)
    Object.assign(this, { name: 'Refused', code: error, status })
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
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)))

export class Session extends EventTarget {
  #client; #issuer; #redirect; #at; #who; #mark; #renewing

  // client is its client_id, issuer Jeton's, to the byte: its pages lie below.
  // redirect is where they send the browser back to, registered for the client
  // as a redirect URI and as one for after signing out. at is the path at which
  // Jeton's /session is reached here. who is a path of the API that answers 401
  // without a valid token, cheaply and by GET.
  constructor({ client, issuer, redirect = '/', at = '/session', who }) {
    super()
    ;[this.#client, this.#issuer, this.#at, this.#who] = [client, issuer, at, who]
    this.#redirect = new URL(redirect, location.origin)
    this.#mark = `session of ${client}`
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
  get active() { return localStorage.getItem(this.#mark) !== null }

  // login leaves for Jeton's pages. State and verifier are kept for this tab
  // alone, so that two may log in at once. It takes https, or this machine:
  // elsewhere browsers do not hash.
  async login(again = false) {
    const state = random(), verifier = random()
    const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
    this.#asked = { state, verifier, again, page: location.href }
    location.assign(`${this.#issuer}/authorize?` + new URLSearchParams({
      response_type: 'code', client_id: this.#client, redirect_uri: this.#redirect, state,
      code_challenge: base64url(new Uint8Array(hash)), code_challenge_method: 'S256',
    }))
  }

  // arrive takes the answer to a login, if the page was opened by one, and puts
  // the address back to where the login began. It throws a Refused, or an
  // Unavailable, after which it is for calling again.
  async arrive() {
    const answer = new URLSearchParams(location.search), asked = this.#asked
    const answered = location.pathname === this.#redirect.pathname && (answer.has('code') || answer.has('error'))
    if (!answered) return asked?.sent ? this.#alone(() => this.#recover(asked)) : undefined
    const fits = asked?.state !== undefined && answer.get('state') === asked.state
    // Before anything can read the code there, keep it or send it on.
    history.replaceState(null, '', fits ? asked.page : this.#redirect)
    // Somebody else's code would log the visitor in as somebody else (RFC 6749
    // §10.12). The login of this tab goes on, if there is one.
    if (!fits) throw new Refused({ error: 'unasked', error_description: 'This was no answer to a login of this tab. Nothing was changed.' })
    this.#asked = null // each verifier is used once
    const foreign = answer.get('iss') !== this.#issuer // its code may be another server's (RFC 9207)
    if (foreign) throw new Refused({ error: 'unasked', error_description: 'The answer came from another server than was asked. Nothing was changed.' })
    if (answer.has('error')) throw new Refused(Object.fromEntries(answer))
    this.#asked = { sent: true, again: asked.again } // for whoever loads the page again meanwhile
    return this.#alone(() => this.#redeem(answer.get('code'), asked))
  }

  // redeem trades a code for cookies. A session that this browser had before ends
  // by it: Jeton sees its cookie, which nobody has any more afterwards.
  async #redeem(code, { verifier, again }) {
    try {
      await this.#ask('/token', { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: this.#redirect }, true)
    } catch (error) {
      if (error instanceof Unavailable) return this.#recover({ again })
      this.#asked = null
      throw error
    }
    this.#enter()
  }

  // recover goes on where the answer to a code was lost, or not waited for. Sent
  // once more it would count as stolen (RFC 6749 §4.1.2), and the cookies that lie
  // in the browser may be of somebody else, who planted them (§10.12). So the login
  // begins again, once: the user is signed in at Jeton, so no password is asked for.
  async #recover({ again }) {
    if (!again) await this.#back()
    this.#asked = null
    if (again) throw new Unavailable()
    return this.login(true)
  }

  // back waits until somebody answers: a page that is left without a network is
  // lost to one of the browser's own.
  async #back() {
    for (const pause of pauses) {
      if (await this.#look().catch(() => false)) return
      await sleep(pause)
    }
    await this.#look()
  }

  // look asks the API whether it takes the access token. No answer changes anything.
  #look() { return reach(this.#who, { cache: 'no-store', signal: AbortSignal.timeout(patience) }) }

  #enter() {
    this.#asked = null
    this.#note(Date.now()) // another value each time, so that other tabs see another user
  }

  // logout ends the session and takes the cookies away. If it throws, the user is
  // still logged in, and must not be told otherwise.
  logout() {
    return this.#alone(async () => {
      await this.#ask('/revoke', {})
      this.#note(null)
    })
  }

  // signOut leaves for Jeton's page that asks whether to sign out there too. Who
  // does not is logged in again without a password, whoever sits there by then.
  signOut() {
    location.assign(`${this.#issuer}/end_session?` + new URLSearchParams({ client_id: this.#client, post_logout_redirect_uri: this.#redirect }))
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
    if ((await this.#look()).status !== 401) return true
    try {
      await this.#ask('/token', { grant_type: 'refresh_token' })
      return true
    } catch (error) { // the second of these asks for a new login because of another browser or network
      if (!(error instanceof Refused) || !['invalid_grant', 'insufficient_user_authentication'].includes(error.code)) throw error
      this.#note(null)
      return false
    }
  }

  // ask sends a form to Jeton. Where no answer comes it asks again: a refresh
  // whose answer was lost gets the same successor then (the retry window), and a
  // logout is none until it was confirmed. What must arrive once is waited for
  // longer, and sent again only where the server asks for that.
  async #ask(path, fields, once = false) {
    for (let i = 0; ; i++) {
      const answer = await reach(this.#at + path, {
        method: 'POST',
        headers: { 'X-CSRF': '1' },
        body: new URLSearchParams({ client_id: this.#client, ...fields }),
        cache: 'no-store',
        redirect: 'error',
        keepalive: true, // goes on, with its cookies, when the page is left
        signal: AbortSignal.timeout(once ? 30_000 : patience),
      }).catch((error) => { if (!(error instanceof Unavailable)) throw error })
      if (answer?.ok) return
      if (answer && answer.status < 500 && answer.status !== 429) {
        throw new Refused(await answer.json().catch(() => ({})), answer.status)
      }
      const told = Number(answer?.headers.get('Retry-After')) || undefined // seconds
      if (i >= pauses.length || told > patience / 1000 * 2 || once && !told) throw new Unavailable(told)
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

  // asked is the login that this tab began: sessionStorage is the tab's own.
  get #asked() { return JSON.parse(sessionStorage.getItem(this.#mark)) }
  set #asked(login) {
    if (login === null) sessionStorage.removeItem(this.#mark)
    else sessionStorage.setItem(this.#mark, JSON.stringify(login))
  }

  #note(since) {
    if (since === null) localStorage.removeItem(this.#mark)
    else localStorage.setItem(this.#mark, since)
    this.#changed()
  }

  #changed() { this.dispatchEvent(new Event('change')) }
}
