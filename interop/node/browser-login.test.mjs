// How the page of examples/browser logs in, in Chromium: by code and PKCE, at
// Jeton's pages. What it leaves behind, answers that it did not ask for, answers
// that get lost, a second login, and signing out.
import assert from 'node:assert/strict'
import test from 'node:test'
import { username, password } from './jeton.mjs'
import { answer, begin, codeOf, cookie, inside, issuer, jeton, kept, login, logout, open, origin, outside, refused, save, saved, seen, sessions, signIn, tab } from './shop.mjs'

const visits = async () => (await seen()).map(({ act, status, lost }) => `${act} ${status}${lost ? ' lost' : ''}`)

// asked is what the page keeps for itself: what script that got in would find.
const asked = (page) => page.evaluate(() => JSON.stringify([localStorage, sessionStorage]))
const nothing = '[{},{}]'

// addresses are all that the tab goes back to.
async function addresses(page) {
  const devtools = await page.context().newCDPSession(page)
  const { entries } = await devtools.send('Page.getNavigationHistory')
  return entries.map(({ url }) => url)
}

// answerOf is the address by which somebody comes back from Jeton's pages.
const answerOf = (parameters) => `${origin}/?` + new URLSearchParams({ code: 'theirs', iss: issuer, ...parameters })

test('a login leaves nothing behind', async (t) => {
  const context = await open(t), page = await context.newPage()
  const arrived = [], referrers = []
  page.on('request', (request) => {
    if (request.isNavigationRequest() && /[?&]code=/.test(request.url())) arrived.push(request.url())
    referrers.push(request.headers().referer ?? '')
  })
  await page.goto(`${origin}/#here`)
  await outside(page)
  assert.equal(await asked(page), nothing)
  await begin(page)
  const { searchParams: sent } = new URL(page.url())
  assert.deepEqual(Object.fromEntries(sent), {
    response_type: 'code', client_id: 'shop', redirect_uri: `${origin}/`, code_challenge_method: 'S256',
    state: sent.get('state'), code_challenge: sent.get('code_challenge'),
  })
  for (const name of ['state', 'code_challenge']) assert.match(sent.get(name), /^[\w-]{43}$/)
  assert.equal(new URL(page.url()).host, new URL(issuer).host)
  await signIn(page)
  assert.equal(page.url(), `${origin}/#here`)
  assert.deepEqual(await visits(), ['token 200'])
  assert.equal(arrived.length, 1)
  assert.ok(new URL(arrived[0]).searchParams.get('code').length > 20)
  const back = (await addresses(page)).filter((url) => url.startsWith(origin))
  assert.deepEqual(new Set(back), new Set([`${origin}/#here`]))
  assert.deepEqual(referrers.filter((url) => /[?&]code=/.test(url)), [])
  assert.equal(await page.evaluate(() => document.referrer), '')
  assert.match(await asked(page), /^\[\{"session of shop":"\d+"\},\{\}\]$/)
  await page.reload()
  await inside(page)
  assert.deepEqual(await visits(), [])
  assert.deepEqual(context.faults, [])
})

test('of Jeton only what has to be is at the origin of the page', async (t) => {
  const page = await tab(await open(t))
  const found = await page.evaluate(async () => {
    const all = ['', '/authorize', '/login', '/account', '/console', '/end_session', '/token', '/revoke', '/admin/v1/users', '/session/', '/session/other', '/.well-known/jwks.json']
    return Promise.all(all.flatMap((path) => ['GET', 'POST'].map(async (method) => (await fetch('/auth' + path, { method, redirect: 'manual' })).status)))
  })
  assert.deepEqual(new Set(found), new Set([404]))
})

test('an answer that was not asked for is refused', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  const theirs = (await codeOf('bob')).back
  assert.match(theirs, /code=.*&iss=|iss=.*&code=/)
  const refuse = async (address, words) => {
    await page.goto(address)
    await page.getByText(words).waitFor()
    assert.equal(page.url(), `${origin}/`)
    assert.deepEqual((await addresses(page)).filter((url) => url === address), [])
    assert.deepEqual(await visits(), [])
    assert.deepEqual(await kept(context), [])
  }
  await refuse(theirs, 'no answer to a login of this tab')
  assert.equal(await asked(page), nothing)

  // While a login is under way, which goes on.
  await begin(page)
  const request = page.url()
  await refuse(theirs, 'no answer to a login of this tab')
  await refuse(answerOf({ state: 'undefined' }), 'no answer to a login of this tab')
  await page.goto(request)
  const back = page.waitForRequest((r) => r.isNavigationRequest() && r.url().startsWith(`${origin}/?`))
  await signIn(page)
  assert.deepEqual(await visits(), ['token 200'])

  // While somebody is logged in, who stays. An answer that was taken is none any more.
  const before = await kept(context), who = await page.locator('#who').innerText()
  for (const address of [theirs, (await back).url(), answerOf({ state: 'x' })]) {
    await page.goto(address)
    await inside(page)
    await page.getByText('no answer to a login of this tab').waitFor()
    assert.equal(page.url(), `${origin}/`)
    assert.equal(await page.locator('#who').innerText(), who)
  }
  assert.deepEqual(await visits(), [])
  assert.deepEqual(await kept(context), before)
  assert.deepEqual(context.faults, [])
})

test('an answer of another server is refused, for good', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  for (const iss of ['https://id.evil.example', `${issuer}/`, '']) {
    await begin(page)
    const state = new URL(page.url()).searchParams.get('state')
    await page.goto(answerOf({ state, iss }))
    await page.getByText('from another server than was asked').waitFor()
    assert.equal(page.url(), `${origin}/`)
    assert.equal(await asked(page), nothing)
    await page.goto(answerOf({ state }))
    await page.getByText('no answer to a login of this tab').waitFor()
  }
  assert.deepEqual(await visits(), [])
  assert.deepEqual(context.faults, [])
})

test('a code that does not count, and a user who does not agree, are told of', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await begin(page)
  const state = new URL(page.url()).searchParams.get('state')
  await page.goto(answerOf({ state }))
  await page.getByText('taken too long').waitFor()
  assert.deepEqual(await visits(), ['token 400'])
  await begin(page)
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('You did not agree').waitFor()
  assert.equal(page.url(), `${origin}/`)
  assert.equal(await asked(page), nothing)
  await login(page)
  assert.deepEqual(await visits(), ['token 200'])
})

test('a code whose answer was lost is not sent again', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await begin(page)
  await seen(1)
  await signIn(page) // once: the second time the user is known at Jeton
  assert.deepEqual(await visits(), ['token 200 lost', 'token 200'])
  await save(page, 'here')
  await saved(page)
  assert.match(await asked(page), /^\[\{"session of shop":"\d+"\},\{\}\]$/)
  assert.deepEqual(context.faults, [])
})

// codes has what comes to the page's origin with a code answered by a function.
const codes = (page, act) => page.route('**/auth/session/token', (route) =>
  new URLSearchParams(route.request().postData()).has('code') ? act(route) : route.fallback())

test('a login that gets nowhere ends in words, not in a circle', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await begin(page)
  let tries = 0
  await codes(page, (route) => { tries++; return route.abort() })
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('There is no connection').waitFor()
  await outside(page)
  assert.equal(tries, 2)
  assert.equal(page.url(), `${origin}/`)
  assert.equal(await asked(page), nothing)
  await page.unroute('**/auth/session/token')
  await page.getByRole('button', { name: 'Log in' }).click() // signed in at Jeton
  await inside(page)
})

// What somebody has planted must not become what a login ends in (RFC 6749 §10.12).
test('a code that never arrives makes nobody somebody else', async (t) => {
  const theirs = await open(t)
  await login(await tab(theirs), 'bob')
  const bob = await cookie(theirs, 'access'), planted = await kept(theirs)
  const context = await open(t)
  await context.addCookies(planted)
  const page = await tab(context)
  const refreshes = []
  page.on('request', (request) => { if (request.postData()?.includes('grant_type=refresh_token')) refreshes.push(request.url()) })
  await outside(page)
  await begin(page)
  await seen()
  let tries = 0
  await codes(page, (route) => { tries++; return route.abort() })
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('There is no connection').waitFor()
  await outside(page)
  assert.equal(tries, 2)
  assert.equal(await page.locator('#who').textContent(), '')
  assert.deepEqual(await visits(), [])
  await page.reload()
  await outside(page)
  assert.equal(await asked(page), nothing)

  // Once it arrives she is there, and what was planted has ended.
  let lost = 0
  await page.unroute('**/auth/session/token')
  await codes(page, (route) => lost++ ? route.fallback() : route.abort())
  await page.getByRole('button', { name: 'Log in' }).click()
  await inside(page)
  assert.deepEqual(await visits(), ['token 200'])
  assert.equal(await page.locator('#who').innerText(), jeton('user', 'show', username).sub)
  assert.deepEqual(refreshes, [])
  await refused(bob)
  assert.deepEqual(context.faults, [])
})

test('a login that waits for the network stays at its page', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await begin(page)
  let gone = true, looks = 0
  await codes(page, (route) => route.abort())
  await page.route('**/api/me', (route) => { looks++; return gone ? route.abort() : route.fallback() })
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('There is no connection').waitFor()
  assert.equal(page.url(), `${origin}/`)
  assert.equal(looks, 4)
  gone = false
  await page.unroute('**/auth/session/token')
  await page.getByRole('button', { name: 'Try again' }).click()
  await inside(page)
})

test('a page that is loaded again while it logs in logs in', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await begin(page)
  let tries = 0
  const sent = new Promise((done) => codes(page, (route) => {
    if (++tries > 1) return route.fallback()
    done() // and never answered
  }))
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await sent
  assert.equal(page.url(), `${origin}/`)
  assert.doesNotMatch(await asked(page), /verifier|theirs|eyJ/)
  await page.reload()
  await inside(page)
  assert.equal(tries, 2)
  assert.match(await asked(page), /^\[\{"session of shop":"\d+"\},\{\}\]$/)
})

test('a second login ends the session of the first', async (t) => {
  const others = [...sessions(), ...sessions('bob')]
  const mine = () => [...sessions(), ...sessions('bob')].filter((sid) => !others.includes(sid))
  const context = await open(t)
  const one = await tab(context), two = await tab(context), three = await tab(context)
  for (const page of [one, two, three]) await begin(page)
  await signIn(one)
  const [first] = mine(), access = await cookie(context, 'access')
  assert.equal(mine().length, 1)
  assert.equal(await answer(access), 200)
  await signIn(two)
  assert.equal(mine().length, 1)
  assert.notEqual(mine()[0], first)
  await refused(access)
  assert.equal(await one.evaluate(() => fetch('/api/me', { headers: { 'X-CSRF': '1' } }).then(({ status }) => status)), 200)

  // Also one of somebody else.
  const alice = await one.locator('#who').innerText()
  await signIn(three, 'bob')
  assert.deepEqual(sessions().filter((sid) => mine().includes(sid)), [])
  assert.equal(mine().length, 1)
  const bob = await three.locator('#who').innerText()
  assert.notEqual(bob, alice)
  for (const page of [one, two]) await page.locator('#who').getByText(bob).waitFor()
  assert.deepEqual(context.faults, [])
})

test('logging out asks whether to sign out at Jeton too', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await login(page)
  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByRole('button', { name: 'Stay signed in' }).click()
  await page.getByText('You are logged out.').waitFor()
  await outside(page)
  assert.deepEqual(await kept(context), [])
  assert.equal(page.url(), `${origin}/`)
  await page.getByRole('button', { name: 'Log in' }).click() // and no password
  await inside(page)
  await logout(page)
  await page.getByText('You are logged out.').waitFor()
  assert.equal(await asked(page), nothing)
  await login(page)
})
