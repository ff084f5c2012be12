// The console in Chromium, with JavaScript and without, light and dark, on a
// phone, each page looked over by axe.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import test, { after, before } from 'node:test'
import { chromium } from 'playwright-core'
import { issuer, clientID, clientSecret, username, password } from './jeton.mjs'
import { call, claims, linux, login, own, phone, refresh, refused } from './console.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const pictures = process.env.INTEROP_PICTURES // a folder for screenshots
const operator = process.env.INTEROP_OPERATOR

let browser

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.INTEROP_CHROMIUM, args: ['--no-sandbox'] })
})
after(() => browser.close())

async function open(t, options) {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(60_000)
  t.after(() => context.close())
  const page = await context.newPage()
  page.look = options
  page.faults = []
  page.on('console', (line) => { if (line.type() === 'error') page.faults.push(line.text()) })
  page.on('pageerror', (error) => page.faults.push(String(error)))
  return page
}

// look takes a picture and lets axe look too, where the context may run scripts.
async function look(page, name) {
  if (pictures) await page.screenshot({ path: `${pictures}/console-${name}-${page.look.name}.png`, fullPage: true })
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth).catch(() => 0)
  assert.equal(wide, 0, `${name}: wider than the screen`)
  // What is cut off or scrolls within the page does not make it wider.
  if (page.look.viewport?.width < 500) assert.deepEqual(await page.evaluate(cutOff), [], `${name}: more than can be seen`)
  if (page.look.javaScriptEnabled === false) return
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => axe.run(document))
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], `${name}, ${page.look.colorScheme}`)
}

// cutOff finds what is wider than the box that shows it.
function cutOff() {
  return [...document.querySelectorAll('body *')].filter((one) => {
    const style = getComputedStyle(one)
    return style.overflowX !== 'visible' && style.clipPath === 'none' && one.clientWidth > 0 && one.scrollWidth > one.clientWidth && !/^(INPUT|SELECT|TEXTAREA)$/.test(one.tagName)
  }).map((one) => `${one.tagName}.${one.className}: ${one.scrollWidth} in ${one.clientWidth}`)
}

async function signIn(page, path = '/console') {
  await page.goto(issuer + path)
  await page.getByLabel('User name').fill(operator)
  await page.getByLabel('Password').fill(password)
  await page.keyboard.press('Enter')
}

for (const options of [
  { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 360, height: 640 }, deviceScaleFactor: 2 },
  { name: 'phone-dark', colorScheme: 'dark', viewport: { width: 360, height: 640 }, deviceScaleFactor: 2 },
  { name: 'no-script', colorScheme: 'light', javaScriptEnabled: false, viewport: { width: 1280, height: 800 } },
]) {
  test(`see a user, end the sessions, look at a token: ${options.name}`, async (t) => {
    const laptop = await login(username, linux)
    const mobile = await login(username, phone)
    const other = await login('bob', linux)
    assert.equal(await call(laptop.access_token), 200)
    assert.equal(await call(other.access_token), 200)

    const page = await open(t, options)
    await signIn(page)
    await page.getByRole('heading', { name: 'Users' }).waitFor()
    await look(page, 'users')
    await page.getByLabel('Beginning of a user name').fill('nobody at all')
    await page.keyboard.press('Enter')
    await page.getByText('Nobody is called so').waitFor()
    await look(page, 'users-empty')
    await page.getByLabel('Beginning of a user name').fill(username.slice(0, 3))
    await page.getByRole('button', { name: 'Search' }).click()
    await page.getByRole('link', { name: username, exact: true }).click()
    await page.getByRole('heading', { level: 1, name: username }).waitFor()
    await page.getByText('Safari on iPhone').first().waitFor()
    await look(page, 'user')

    await page.getByRole('link', { name: 'End all sessions' }).click()
    await page.getByRole('heading', { name: `End all sessions of ${username}` }).waitFor()
    await page.getByText(/live sessions?$/).waitFor()
    await look(page, 'revoke')
    await page.getByLabel('Reason').fill('laptop stolen')
    await page.getByRole('button', { name: 'End them' }).click()
    await page.getByText(/Their tokens do not work any more/).waitFor()
    const took = [await refused(laptop.access_token), await refused(mobile.access_token)]
    // Within a second where nothing else runs; polled by ttl it would be 15 s.
    assert.ok(took[0] + took[1] < 10_000, `refused after ${took} ms`)
    assert.equal(await call(other.access_token), 200)
    await look(page, 'user-ended')

    await page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name: 'Token' }).click()
    await look(page, 'token')
    await page.getByLabel('Token').fill(laptop.refresh_token)
    await page.getByRole('button', { name: 'Look at it' }).click()
    await page.getByText('An operator ended it').waitFor()
    await page.getByText(/laptop stolen/).waitFor()
    assert.ok(!page.url().includes('ey') && !(await page.content()).includes(laptop.refresh_token))
    await look(page, 'token-ended')

    assert.equal((await refresh(other.refresh_token, linux)).status, 200)
    assert.equal((await refresh(other.refresh_token, phone)).status, 400)
    await page.getByLabel('Token').fill(other.refresh_token)
    await page.getByRole('button', { name: 'Look at it' }).click()
    await page.getByText(/likely stolen/).waitFor()
    await look(page, 'token-stolen')
    await page.goto(`${issuer}/console/session?sid=${claims(laptop.access_token).sid}`)
    await page.getByRole('heading', { level: 1, name: `Session of ${username}` }).waitFor()
    await page.getByText('Firefox on Linux').first().waitFor()
    await look(page, 'session')

    for (const name of ['Clients', 'Keys', 'Events']) {
      await page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name }).click()
      await page.getByRole('heading', { level: 1, name }).waitFor()
      await look(page, name.toLowerCase())
    }
    await page.getByText('laptop stolen').first().waitFor()
    assert.deepEqual(page.faults, [])
  })

  test(`roles, and what shows at once: ${options.name}`, async (t) => {
    const before = await login('carol', linux)
    const page = await open(t, options)
    await signIn(page, '/console/users?q=carol')
    await page.getByRole('link', { name: 'carol' }).click()
    const roles = `ROLE_USER ROLE_${options.name.toUpperCase().replace('-', '_')}`
    await page.getByLabel(/All roles/).fill(roles)
    await page.getByRole('button', { name: 'Change roles' }).click()
    await page.getByText(`To: ${roles}.`).waitFor()
    await look(page, 'roles')
    await page.getByLabel('Reason').fill('another team')
    // The list was kept a moment ago, and is asked for again after the change.
    await page.getByRole('button', { name: 'Change roles' }).click()
    await page.getByText('The roles are changed').waitFor()
    await page.goto(`${issuer}/console/users?q=carol`)
    await page.getByText(roles).waitFor()
    // The next refresh tells the truth, and the login goes on.
    const after = await (await refresh(before.refresh_token, linux)).json()
    assert.deepEqual(claims(after.access_token).roles, roles.split(' '))
    assert.equal(claims(after.access_token).sid, claims(before.access_token).sid)
    assert.deepEqual(page.faults, [])
  })

  // What is the same on a dark phone as on a light one is looked at on one.
  if (options.name !== 'phone-dark') test(`a client comes, changes and goes: ${options.name}`, async (t) => {
    const page = await open(t, options)
    const id = `shop-${options.name}`
    await signIn(page, '/console/clients')
    await page.getByRole('link', { name: 'New client' }).click()
    await look(page, 'client-new')
    await page.getByLabel('client_id').fill(id)
    await page.getByLabel('Scope', { exact: true }).fill('read')
    await page.getByLabel('client_credentials').check()
    await page.locator('summary', { hasText: 'How long' }).click() // folded until it is needed
    await page.getByLabel('Sessions of one user at most').fill('many')
    await page.getByLabel('Redirect URIs').fill('http://shop.example/cb')
    await page.getByRole('button', { name: 'Add the client' }).click()
    await page.getByRole('alert').filter({ hasText: '2 fields below say what is wrong' }).waitFor()
    await page.getByText('Not a number').waitFor()
    await look(page, 'client-wrong')
    await page.getByLabel('Sessions of one user at most').fill('') // unfolded: it is wrong
    await page.getByLabel('Name of the cookies').waitFor({ state: 'hidden' })
    await page.getByLabel('Redirect URIs').fill('https://shop.example/cb')
    await page.getByRole('button', { name: 'Add the client' }).click()
    const secret = await page.locator('div').filter({ has: page.getByText('client_secret', { exact: true }) }).last().locator('code').innerText()
    await look(page, 'client-added')
    assert.equal((await own(id, secret, 'read')).status, 200)
    // Loaded again, the form is sent again: it makes no second client, and the
    // secret is not shown twice.
    await page.reload()
    await page.getByText(/has it; choose another/).waitFor()
    assert.ok(!(await page.content()).includes(secret))
    assert.equal((await own(id, secret, 'read')).status, 200)
    assert.equal((await own(id, secret, 'write')).status, 400)

    await page.goto(`${issuer}/console/client?id=${id}`)
    await page.getByRole('link', { name: 'Change settings' }).click()
    await page.getByRole('heading', { level: 1, name: `Settings of ${id}` }).waitFor()
    await look(page, 'settings')
    await page.locator('summary', { hasText: 'How long' }).press('Enter')
    await page.getByLabel('Scope', { exact: true }).fill('write')
    await page.getByLabel('Access tokens live').fill('5m')
    await page.getByRole('button', { name: 'Look at the change' }).click()
    await page.getByRole('heading', { level: 2, name: 'What ends' }).waitFor()
    await look(page, 'settings-review')
    await page.getByRole('button', { name: 'Back to the form' }).click()
    assert.equal(await page.getByLabel('Access tokens live').inputValue(), '5m')
    await page.getByRole('button', { name: 'Look at the change' }).click()
    await page.getByLabel('Reason').fill('it writes now')
    await page.getByRole('button', { name: 'Change the settings' }).click()
    await page.getByText('The settings are changed').waitFor()
    const written = await own(id, secret, 'write')
    assert.equal(written.status, 200)
    assert.equal((await written.json()).expires_in, 300)

    await page.getByRole('link', { name: 'Delete' }).click()
    await look(page, 'client-delete')
    await page.getByLabel('Reason').fill('it was a test')
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByText('Deleted.').waitFor()
    assert.equal((await own(id, secret, 'write')).status, 401)
    // Its events lead to what is known of it, from where one can go on.
    await page.goto(`${issuer}/console/client?id=${id}`)
    await page.getByRole('heading', { level: 1, name: 'No such client' }).waitFor()
    await look(page, 'client-gone')
    await page.getByRole('link', { name: 'What is known to have happened' }).click()
    await page.getByText('it was a test').first().waitFor()
    await page.goto(`${issuer}/console/usres`)
    await page.getByRole('heading', { level: 1, name: 'There is nothing here' }).waitFor()
    await look(page, 'nothing')
    assert.deepEqual(page.faults.filter((fault) => !/\b(400|404|409)\b/.test(fault)), [])
  })

  if (options.name !== 'phone-dark') test(`keys are asked about: ${options.name}`, async (t) => {
    const page = await open(t, options)
    await signIn(page, '/console/keys')
    await page.getByRole('link', { name: 'Rotate the signing key' }).click()
    await page.getByText('Would take over').waitFor()
    await look(page, 'key-rotate')
    await page.getByRole('link', { name: 'Cancel' }).click()
    await page.getByRole('row').filter({ hasText: 'refresh tokens' }).filter({ hasText: 'current' }).getByRole('link', { name: 'Remove' }).click()
    await page.getByText('Sessions that cannot go on').waitFor()
    await look(page, 'key-remove')
    assert.deepEqual(page.faults, [])
  })

  if (!options.name.startsWith('phone')) test(`signing in while it is slowed: ${options.name}`, async (t) => {
    const page = await open(t, options)
    await page.goto(`${issuer}/account`)
    const attempt = async (secret) => {
      await page.getByLabel('User name').fill(`slow-${options.name}`)
      await page.getByLabel('Password').fill(secret)
      const [response] = await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.keyboard.press('Enter')])
      await page.waitForLoadState()
      return response.status()
    }
    // On a slow machine the first waits are over before they are met.
    let status, n = 0
    for (; status !== 429; n++) {
      assert.ok(n < 12, 'nobody is slowed')
      status = await attempt('not the password')
    }
    assert.ok(n > 5, `slowed after ${n}`)
    const told = Date.now()
    const slowed = page.getByRole('alert').filter({ hasText: 'Too many failed attempts' })
    const wait = Number(/in (\d+) seconds?/.exec(await slowed.innerText())[1])
    assert.ok(wait >= 1 && wait <= 60, `${wait} seconds`)
    await look(page, 'login-slowed')
    await new Promise((done) => setTimeout(done, told + wait * 1000 + 50 - Date.now()))
    await attempt(password)
    await page.getByRole('heading', { level: 1, name: 'Your account' }).waitFor()
    assert.deepEqual(page.faults.filter((fault) => !/\b(400|401|429)\b/.test(fault)), [])
  })

  test(`two secrets during a change: ${options.name}`, async (t) => {
    const page = await open(t, options)
    await signIn(page, `/console/client?id=${clientID}`)
    await page.getByRole('heading', { level: 1, name: clientID }).waitFor()
    await look(page, 'client')
    await page.getByRole('link', { name: 'New secret' }).click()
    await page.getByLabel('The old secret works for').selectOption('1d')
    await page.getByLabel('Reason').fill('yearly')
    await look(page, 'secret')
    // Not made: the other tests log in with the one there is.
    await page.getByRole('link', { name: 'Cancel' }).click()
    await page.getByRole('heading', { level: 1, name: clientID }).waitFor()
    assert.deepEqual(page.faults, [])
  })
}

test('a link for a new password is handed over and works once', async (t) => {
  const page = await open(t, { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } })
  await signIn(page, '/console/users?q=carol')
  await page.getByRole('link', { name: 'carol' }).click()
  const lost = await login('carol', linux)
  await page.getByRole('link', { name: 'New password' }).click()
  await page.getByLabel('Reason').fill('asked by phone')
  await page.getByRole('button', { name: 'Make the link' }).click()
  const link = await page.locator('code', { hasText: '/reset/' }).innerText()
  for (const colorScheme of ['dark', 'light']) {
    page.look = { name: colorScheme, colorScheme }
    await page.emulateMedia({ colorScheme })
    await look(page, 'reset-link')
  }
  const user = await open(t, { name: 'light', colorScheme: 'light', javaScriptEnabled: false })
  await user.goto(link)
  for (const field of await user.locator('input[type=password]').all()) await field.fill('another lantern above the harbour')
  await user.locator('form button').last().click()
  await user.waitForLoadState()
  const answer = (pass) => fetch(`${issuer}/token`, {
    method: 'POST', body: new URLSearchParams({ grant_type: 'password', username: 'carol', password: pass, client_id: clientID, client_secret: clientSecret }),
  })
  assert.equal((await answer('another lantern above the harbour')).status, 200)
  assert.equal((await answer(password)).status, 400)
  assert.equal((await refresh(lost.refresh_token, linux)).status, 400, 'a session of before goes on')
  await user.goto(link)
  assert.equal(await user.locator('input[type=password]').count(), 0)
})

test('a signing key is rotated at once, and the one that leaked removed', async (t) => {
  const page = await open(t, { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } })
  const old = (await login('bob', linux)).access_token
  const { kid } = claims(old, 0)
  await signIn(page, '/console/act?act=rotate-key')
  await page.getByLabel('It takes over').selectOption('now')
  await page.getByLabel('Reason').fill('it leaked')
  await page.getByRole('button', { name: 'Rotate' }).click()
  await page.getByText('The list says from when on').waitFor()
  const fresh = (await login('bob', linux)).access_token
  assert.notEqual(claims(fresh, 0).kid, kid)
  await page.getByRole('row').filter({ hasText: kid }).getByRole('link', { name: 'Remove' }).click()
  await page.getByLabel('Reason').fill('it leaked')
  await page.getByRole('button', { name: 'Remove it' }).click()
  await page.getByText('The key is gone').waitFor()
  assert.equal(await page.getByText(kid).count(), 0)
  const state = async (token) => (await (await fetch(`${issuer}/introspect`, {
    method: 'POST', body: new URLSearchParams({ token, client_id: clientID, client_secret: clientSecret }),
  })).json()).active
  assert.equal(await state(old), false)
  assert.equal(await state(fresh), true)
  assert.deepEqual(page.faults, [])
})

for (const colorScheme of ['light', 'dark']) test(`who is no operator is told so: ${colorScheme}`, async (t) => {
  const page = await open(t, { name: colorScheme, colorScheme })
  await page.goto(`${issuer}/console`)
  await page.getByLabel('User name').fill('bob')
  await page.getByLabel('Password').fill(password)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'This is for operators' }).waitFor()
  await look(page, 'refused')
})

test('the list of users is kept by the browser, until one changes something', async (t) => {
  const page = await open(t, { name: 'cache', colorScheme: 'light' })
  await signIn(page, '/console/users?q=bob')
  await page.getByRole('link', { name: 'bob' }).waitFor()
  const list = `${issuer}/console/users?q=bob`
  const cached = async () => {
    await page.getByRole('link', { name: 'Keys' }).click()
    await page.getByRole('heading', { level: 1, name: 'Keys' }).waitFor()
    await page.evaluate((to) => { location.href = to }, list)
    await page.getByRole('heading', { level: 1, name: 'Users' }).waitFor()
    return page.evaluate(() => performance.getEntriesByType('navigation')[0].transferSize === 0)
  }
  assert.equal(await cached(), true, 'not kept')
  await page.getByRole('link', { name: 'bob' }).click()
  await page.getByRole('link', { name: 'Disable' }).click()
  await page.getByLabel('Reason').fill('to be seen')
  await page.getByRole('button', { name: 'Disable' }).click()
  await page.getByText('Disabled. All sessions have ended.').waitFor()
  assert.equal(await cached(), false, 'what was kept from before the change is shown')
  await page.getByText('disabled').waitFor()
  await page.getByRole('link', { name: 'bob' }).click()
  await page.getByRole('link', { name: 'Enable' }).click()
  await page.getByLabel('Reason').fill('it was seen')
  await page.getByRole('button', { name: 'Enable' }).click()
  await page.getByText('Enabled.').waitFor()
})

// Playwright turns off what "back" shows people: the page as it stood.
test('after signing out "back" shows no list of users', async (t) => {
  const back = await chromium.launch({ executablePath: process.env.INTEROP_CHROMIUM, args: ['--no-sandbox'], ignoreDefaultArgs: ['--disable-back-forward-cache'] })
  t.after(() => back.close())
  for (let tries = 1; ; tries++) {
    const page = await back.newPage()
    page.setDefaultTimeout(60_000)
    await signIn(page, '/console/users?q=bob')
    await page.getByRole('button', { name: 'Sign out' }).click()
    try {
      await page.waitForURL('**/end_session?left=console')
    } catch (late) { // seen once, on a machine that had no time for its browser
      if (tries === 3) throw late
      continue
    }
    await page.evaluate(() => { setTimeout(() => history.back()) })
    await page.waitForURL((to) => !to.pathname.endsWith('/end_session'))
    await page.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor()
    return
  }
})
