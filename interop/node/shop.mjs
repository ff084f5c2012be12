// What the tests of examples/browser share: a Chromium, its page at an https host,
// Jeton's pages at another, and what the proxy before both has seen.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, beforeEach } from 'node:test'
import { chromium } from 'playwright-core'
import { issuer as direct, username, password } from './jeton.mjs'
import { Walker } from './walk.mjs'

const { INTEROP_EXAMPLE: example, INTEROP_CONTROL: control } = process.env
export const origin = process.env.INTEROP_ORIGIN
export const issuer = origin.replace('app.', 'id.') + '/auth'

let browser

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.INTEROP_CHROMIUM,
    args: ['--no-sandbox', '--host-resolver-rules=MAP *.example 127.0.0.1'],
  })
})

after(() => browser.close())

// seen is what came to /session since it was asked last. The answers to the next
// requests get lost on the way back.
export const seen = async (lose = 0) => (await fetch(control, { method: 'POST', body: JSON.stringify({ Lose: lose }) })).json()

beforeEach(() => seen())

export const jeton = (...args) => JSON.parse(execFileSync(process.env.INTEROP_BINARY, [...args, '--json', '--store', process.env.INTEROP_STORE]))

// sessions are those of the user through the example that live.
export const sessions = (user = username) => jeton('session', 'list', '--user', user, '--client', 'shop').filter((s) => !s.ended).map((s) => s.sid)

export async function open(t, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options })
  context.setDefaultTimeout(60_000)
  t.after(() => context.close())
  context.faults = []
  context.on('weberror', (error) => context.faults.push(String(error.error())))
  return context
}

export async function tab(context) {
  const page = await context.newPage()
  await page.goto(origin)
  return page
}

// begin presses the button, and waits for Jeton's page.
export async function begin(page) {
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.waitForURL(`${issuer}/authorize?**`)
}

export async function signIn(page, user = username) {
  await page.getByLabel('User name').fill(user)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await inside(page)
}

export async function login(page, user) {
  await begin(page)
  await signIn(page, user)
}

// logout goes all the way: the page's session, then that at Jeton.
export async function logout(page) {
  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await outside(page)
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
export const inside = (page) => page.getByRole('button', { name: 'Log out' }).waitFor()
export const outside = (page) => page.getByRole('button', { name: 'Log in' }).waitFor()
export const saved = (page) => page.getByText('Saved.').waitFor()

export async function save(page, text) {
  await page.getByLabel('What the API keeps for you').fill(text)
  await page.getByRole('button', { name: 'Save' }).click()
}

// kept are the cookies that go to the page's host, or a host above it.
export async function kept(context) {
  const host = new URL(origin).hostname
  return (await context.cookies()).filter(({ domain }) => domain === host || host.endsWith(domain))
}

export const cookie = async (context, name) => (await kept(context)).find((c) => c.name.endsWith(name))

// expire has the access token run out: the browser drops its cookie then.
export const expire = (context) => context.clearCookies({ name: '__Host-access' })

// answer is what the API says to whoever has kept a token.
export const answer = async (access) => (await fetch(`${example}/api/me`, { headers: { cookie: `__Host-access=${access.value}` } })).status

// refused waits until the API refuses a token, and says for how many milliseconds.
export async function refused(access) {
  const since = Date.now()
  while (await answer(access) !== 401) {
    assert.ok(Date.now() - since < 60_000, 'the API takes the token after a minute')
    await sleep(10)
  }
  return Date.now() - since
}

const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'

// codeOf logs a user in elsewhere, as far as the code.
export async function codeOf(user) {
  const back = await new Walker(user).to(`${direct}/auth/authorize?` + new URLSearchParams({
    response_type: 'code', client_id: 'shop', redirect_uri: `${origin}/`, state: 'theirs',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256',
  }))
  return { code: back.searchParams.get('code'), code_verifier: verifier, back: String(back) }
}
