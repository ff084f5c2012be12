// examples/browser in Chromium, at an https host with Jeton below /auth: several
// tabs, answers that get lost, what its cookies are like, and what pages of
// others can do with them.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import test, { after, before, beforeEach } from 'node:test'
import { chromium } from 'playwright-core'
import { username, password } from './jeton.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const { INTEROP_ORIGIN: origin, INTEROP_EXAMPLE: example, INTEROP_CONTROL: control, INTEROP_PICTURES: pictures } = process.env
const sibling = origin.replace('app.', 'blog.'), evil = origin.replace('app.shop.', 'evil.')

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
const seen = async (lose = 0) => (await fetch(control, { method: 'POST', body: JSON.stringify({ Lose: lose }) })).json()

beforeEach(() => seen())

const jeton = (...args) => JSON.parse(execFileSync(process.env.INTEROP_BINARY, [...args, '--json', '--store', process.env.INTEROP_STORE]))

// sessions are those of the user through the example that live.
const sessions = () => jeton('session', 'list', '--user', username, '--client', 'shop').filter((s) => !s.ended).map((s) => s.sid)

async function open(t, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options })
  context.setDefaultTimeout(8000)
  t.after(() => context.close())
  context.faults = []
  context.on('weberror', (error) => context.faults.push(String(error.error())))
  return context
}

async function tab(context) {
  const page = await context.newPage()
  await page.goto(origin)
  return page
}

async function login(page, user = username) {
  await page.getByLabel('User name').fill(user)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
  await inside(page)
}

const inside = (page) => page.getByRole('button', { name: 'Log out' }).waitFor()
const outside = (page) => page.getByRole('button', { name: 'Log in' }).waitFor()
const saved = (page) => page.getByText('Saved.').waitFor()

async function save(page, text) {
  await page.getByLabel('What the API keeps for you').fill(text)
  await page.getByRole('button', { name: 'Save' }).click()
}

const cookie = async (context, name) => (await context.cookies()).find((c) => c.name.endsWith(name))

// expire has the access token run out: the browser drops its cookie then.
const expire = (context) => context.clearCookies({ name: '__Host-access' })

// answer is what the API says to whoever has kept a token.
const answer = async (access) => (await fetch(`${example}/api/me`, { headers: { cookie: `__Host-access=${access.value}` } })).status

async function refused(access) {
  const since = Date.now()
  while (await answer(access) !== 401) {
    assert.ok(Date.now() - since < 10_000, 'the API takes the token after 10 s')
    await new Promise((done) => setTimeout(done, 10))
  }
  return Date.now() - since
}

test('several tabs refresh once', async (t) => {
  const context = await open(t)
  const first = await tab(context)
  await outside(first)
  assert.deepEqual(await seen(), [], 'somebody who never logged in has sent something')
  await login(first)
  const tabs = [first, await tab(context), await tab(context), await tab(context)]
  await Promise.all(tabs.map(inside))
  const live = sessions()
  await seen()
  for (let round = 0; round < 3; round++) {
    await expire(context)
    await Promise.all(tabs.map((page) => save(page, `round ${round}`)))
    await Promise.all(tabs.map(saved))
    assert.deepEqual((await seen()).map(({ act, status }) => ({ act, status })), [{ act: 'token', status: 200 }], `round ${round}`)
  }
  assert.deepEqual(sessions(), live)
  assert.deepEqual(context.faults, [])
})

test('lost answers log nobody out', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await login(page)
  const before = await cookie(context, 'refresh'), live = sessions()
  await expire(context)
  await seen(2)
  await save(page, 'kept')
  await saved(page)
  assert.deepEqual((await seen()).map(({ status, lost }) => ({ status, lost })), [{ status: 200, lost: true }, { status: 200, lost: true }, { status: 200, lost: false }])
  assert.notEqual((await cookie(context, 'refresh')).value, before.value)

  // The tab is closed while the answer is on its way, and so is lost.
  await expire(context)
  await seen(1)
  await save(page, 'kept too')
  await page.close()
  const another = await tab(context)
  await inside(another)
  assert.deepEqual(sessions(), live)

  // What could not be logged out is not said to be.
  await seen(4)
  await another.getByRole('button', { name: 'Log out' }).click()
  await another.getByText('There is no connection').waitFor()
  await inside(another)
})

test('logging out ends it everywhere, and another user is seen', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await login(page)
  const other = await tab(context)
  await inside(other)
  await save(page, 'of alice')
  await saved(page)
  const access = await cookie(context, 'access')
  assert.equal(await answer(access), 200)
  await page.getByRole('button', { name: 'Log out' }).click()
  await Promise.all([outside(page), outside(other)])
  assert.equal(await other.getByText('You are logged out.').count(), 1)
  const took = await refused(access)
  t.diagnostic(`refused after ${took} ms`)
  assert.ok(took < 1500)
  assert.deepEqual(await context.cookies(), [])
  assert.equal(await other.getByLabel('What the API keeps for you').inputValue(), '', 'the note of who is gone')

  await login(other, 'bob')
  await inside(page)
  await page.getByRole('status').getByText('', { exact: true }).waitFor({ state: 'attached' })
  assert.equal(await page.getByLabel('What the API keeps for you').inputValue(), '')
  assert.equal(await page.locator('#who').innerText(), await other.locator('#who').innerText())

  // The operator ends it: the next thing somebody does shows that.
  execFileSync(process.env.INTEROP_BINARY, ['session', 'revoke', '--user', 'bob', '--reason', 'test', '--store', process.env.INTEROP_STORE])
  await refused(await cookie(context, 'access'))
  await page.getByRole('button', { name: 'Save' }).click()
  await Promise.all([outside(page), outside(other)])
  assert.deepEqual(await context.cookies(), [])
  assert.deepEqual(context.faults, [])
})
