// examples/browser in Chromium: several tabs, answers that get lost, what its
// cookies are like, and what pages of others can do with them. How it logs in is
// browser-login.test.mjs.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import test from 'node:test'
import { username } from './jeton.mjs'
import { codeOf, cookie, expire, inside, jeton, kept, login, logout, open, origin, outside, refused, answer, save, saved, seen, sessions, sleep, tab } from './shop.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const pictures = process.env.INTEROP_PICTURES
const sibling = origin.replace('app.', 'blog.'), evil = origin.replace('app.shop.', 'evil.')

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
  const others = sessions()
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
  await logout(another)
  assert.deepEqual(sessions().filter((sid) => live.includes(sid) && !others.includes(sid)), [])
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
  await Promise.all([logout(page), outside(other)])
  assert.equal(await other.getByText('You are logged out.').count(), 1)
  const took = await refused(access)
  t.diagnostic(`refused after ${took} ms`)
  assert.ok(took < 10_000, 'the lists are not waited for, but polled')
  assert.deepEqual(await kept(context), [])
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
  // Only a logout takes cookies away. What is left opens nothing.
  assert.equal(await answer(await cookie(context, 'access')), 401)
  assert.deepEqual(context.faults, [])
})

test('the cookies are what they have to be, and no script reads them', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  const asked = page.waitForRequest('**/api/me')
  await login(page)
  const devtools = await context.newCDPSession(page)
  const { cookies } = await devtools.send('Network.getCookies', { urls: [`${origin}/auth/session/token`] })
  const kept = Object.fromEntries(cookies.map((c) => [c.name, c]))
  assert.deepEqual(Object.keys(kept).sort(), ['__Host-access', '__Secure-refresh'])
  for (const [name, path] of [['__Host-access', '/'], ['__Secure-refresh', '/auth/session']]) {
    const c = kept[name]
    assert.deepEqual([c.domain, c.path, c.secure, c.httpOnly, c.sameSite, c.session], [new URL(origin).hostname, path, true, true, 'Strict', false], name)
    // It goes when its token does.
    const { exp } = JSON.parse(Buffer.from(c.value.split('.')[1], 'base64url'))
    assert.ok(Math.abs(c.expires - exp) < 5, `${name} is kept until ${c.expires}, the token until ${exp}`)
  }

  // The API is sent the access token alone.
  assert.equal((await (await asked).allHeaders()).cookie, `__Host-access=${kept['__Host-access'].value}`)

  // Script finds neither, wherever it looks, nor in an answer.
  const reach = await page.evaluate(async () => {
    const answer = await fetch('/auth/session/token', { method: 'POST', headers: { 'X-CSRF': '1' }, body: new URLSearchParams({ client_id: 'shop', grant_type: 'refresh_token' }) })
    return [
      document.cookie, JSON.stringify(await cookieStore.getAll()), JSON.stringify([localStorage, sessionStorage]),
      JSON.stringify([...answer.headers]), await answer.text(),
    ]
  })
  assert.match(reach[4], /"expires_in":1800/)
  assert.deepEqual(reach.slice(0, 2), ['', '[]'])
  assert.match(reach[2], /^\[\{"session of shop":"\d+"\},\{\}\]$/) // when somebody logged in, and no more
  for (const text of reach) assert.doesNotMatch(text, /eyJ|set-cookie/i)
  await page.goto(`${origin}/auth/session/token`) // where the refresh cookie goes
  assert.equal(await page.evaluate(() => document.cookie), '')
})

// What pages of others can try. Each is run in such a page, with where to send
// what, and ends when it was sent or could not be.
const submit = ({ to, fields }) => {
  const form = document.createElement('form')
  form.method = 'post'
  form.action = to
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }))
  }
  document.body.append(form)
  setTimeout(() => form.submit()) // it leaves the page
}
const sandboxed = ({ to, fields }) => {
  const frame = document.createElement('iframe')
  frame.sandbox = 'allow-scripts allow-forms'
  const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`).join('')
  frame.srcdoc = `<form method="post" action="${to}">${inputs}</form><script>document.forms[0].submit()</script>`
  document.body.append(frame)
}
const silently = ({ to, fields }) => fetch(to, { method: 'POST', mode: 'no-cors', credentials: 'include', body: new URLSearchParams(fields) }).catch(() => {})
const properly = ({ to, fields }) => fetch(to, { method: 'POST', credentials: 'include', headers: { 'X-CSRF': '1' }, body: new URLSearchParams(fields) }).then(() => 'answered', () => 'not sent')
const beacon = ({ to, fields }) => { navigator.sendBeacon(to, new URLSearchParams(fields)) }

const attacks = [
  { what: 'a form of another site', from: evil, attack: submit, site: 'cross-site', cookie: false },
  { what: 'a form of the host next door', from: sibling, attack: submit, site: 'same-site', cookie: true },
  { what: 'a request of another site that asks for no answer', from: evil, attack: silently, site: 'cross-site', cookie: false },
  { what: 'a request of the host next door that asks for no answer', from: sibling, attack: silently, site: 'same-site', cookie: true },
  { what: 'a beacon of the host next door', from: sibling, attack: beacon, site: 'same-site', cookie: true },
  { what: 'a sandboxed frame of another site', from: evil, attack: sandboxed, origin: 'null', site: 'cross-site', cookie: false },
  { what: 'a sandboxed frame of the host next door', from: sibling, attack: sandboxed, origin: 'null', site: 'cross-site', cookie: false },
  { what: 'another site with the header', from: evil, attack: properly, unsent: true },
  { what: 'the host next door with the header', from: sibling, attack: properly, unsent: true },
  { what: 'the page itself without the header', from: origin, attack: silently, site: 'same-origin', cookie: true },
]

test('pages of others change nothing', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await login(page)
  await save(page, 'mine')
  await saved(page)
  const state = async () => JSON.stringify([await kept(context), jeton('session', 'list', '--user', username, '--client', 'shop'), jeton('session', 'list', '--user', 'bob')])
  const before = await state(), theirs = await context.newPage()
  const { code, code_verifier } = await codeOf('bob') // what a thief would plant: a login of his own
  for (const { what, from, attack, unsent, site, cookie, origin: said = from } of attacks) {
    for (const [act, path, fields] of [
      ['refresh', 'token', { client_id: 'shop', grant_type: 'refresh_token' }],
      ['logout', 'revoke', { client_id: 'shop' }],
      ['login', 'token', { client_id: 'shop', grant_type: 'authorization_code', code, code_verifier }],
    ]) {
      await theirs.goto(from)
      await seen()
      const came = await theirs.evaluate(attack, { to: `${origin}/auth/session/${path}`, fields })
      const visits = []
      if (unsent) assert.equal(came, 'not sent', `${what}, ${act}`)
      else for (const end = Date.now() + 60_000; visits.length === 0 && Date.now() < end; await sleep(10)) visits.push(...await seen())
      if (attack === submit) await theirs.waitForURL(`${origin}/auth/**`)
      assert.deepEqual([...visits, ...await seen()], unsent ? [] : [{ act: path, status: 403, origin: said, site, cookie, lost: false }], `${what}, ${act}`)
    }
  }
  assert.equal(await state(), before)
  await expire(context)
  await save(page, 'still mine')
  await saved(page)
})

test('the host next door plants cookies in vain', async (t) => {
  const context = await open(t)
  const page = await tab(context)
  await login(page)
  const neighbour = await context.newPage()
  await neighbour.goto(sibling)
  const plant = (line) => neighbour.evaluate((line) => { document.cookie = line }, line)
  await plant('__Host-access=theirs; Secure; Path=/; Domain=shop.example')
  await plant('__Secure-refresh=theirs; Secure; Path=/auth/session; Domain=shop.example')
  assert.deepEqual((await kept(context)).map((c) => `${c.name} ${c.domain}`).sort(), // the second one is taken
    ['__Host-access app.shop.example', '__Secure-refresh .shop.example', '__Secure-refresh app.shop.example'])
  await expire(context)
  await seen()
  await save(page, 'mine')
  await page.getByText('more than one cookie').waitFor()
  assert.deepEqual((await seen()).map(({ act, status }) => ({ act, status })), [{ act: 'token', status: 400 }])
  await context.clearCookies({ domain: '.shop.example' })
  await save(page, 'mine')
  await saved(page)

  // Nobody is kept from logging out by it.
  const access = await cookie(context, 'access')
  for (const path of ['/auth/session/revoke', '/auth/session']) {
    await plant(`__Secure-refresh=theirs; Secure; Path=${path}; Domain=shop.example`)
  }
  await seen()
  await logout(page)
  assert.deepEqual((await seen()).map(({ act, status }) => ({ act, status })), [{ act: 'revoke', status: 200 }])
  await refused(access)
})

for (const options of [
  { name: 'light', colorScheme: 'light', viewport: { width: 900, height: 640 } },
  { name: 'phone-dark', colorScheme: 'dark', viewport: { width: 360, height: 640 } },
]) {
  test(`axe finds nothing: ${options.name}`, async (t) => {
    const page = await tab(await open(t, options))
    const look = async (name) => {
      if (pictures) await page.screenshot({ path: `${pictures}/browser-${name}-${options.name}.png`, fullPage: true })
      const devtools = await page.context().newCDPSession(page) // which the page's policy does not bind
      await devtools.send('Runtime.evaluate', { expression: axe })
      const { violations } = await page.evaluate(() => axe.run(document))
      assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], `${name}, ${options.name}`)
    }
    await outside(page)
    await look('outside')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByText('You did not agree').waitFor()
    await look('refused')
    await login(page)
    assert.equal(await page.evaluate(() => document.activeElement.id), 'your-note')
    await save(page, '<img src=x onerror=alert(1)>')
    await saved(page)
    await look('inside')
    await page.reload()
    await inside(page)
    assert.equal(await page.getByLabel('What the API keeps for you').inputValue(), '<img src=x onerror=alert(1)>')
  })
}
