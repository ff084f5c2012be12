// The pages of the account in Chromium: two devices, of which one ends the
// other, what applications may do, a new password, a forgotten one, with
// JavaScript and without, light and dark, on a phone, looked over by axe.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import test, { after, before } from 'node:test'
import { chromium } from 'playwright-core'
import { issuer, publicID, password } from './jeton.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
const android = 'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36'
const { INTEROP_PICTURES: pictures, INTEROP_API: api, INTEROP_MAILS: mails } = process.env

let browser, application, callback

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.INTEROP_CHROMIUM, args: ['--no-sandbox'] })
  application = createServer((req, res) => { res.setHeader('content-type', 'text/html'); res.end('<title>application</title>') })
  await new Promise((done) => application.listen(0, '127.0.0.1', done))
  callback = `http://127.0.0.1:${application.address().port}/cb`
})

after(async () => {
  await browser.close()
  application.close()
})

const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

// look takes a picture and lets axe look too.
async function look(page, name) {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}-${page.look.name}.png`, fullPage: true })
  if (page.look.javaScriptEnabled === false) return
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => axe.run(document))
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], `${name}, ${page.look.name}`)
}

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

async function signIn(page, name, secret) {
  await page.getByLabel('User name').fill(name)
  await page.getByLabel('Password').fill(secret)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

// enter signs in to the application, and returns its tokens.
async function enter(page, name) {
  await page.goto(`${issuer}/authorize?` + new URLSearchParams({
    response_type: 'code', client_id: publicID, redirect_uri: callback, scope: 'read', code_challenge: challenge, code_challenge_method: 'S256',
  }))
  await signIn(page, name, password)
  await page.getByRole('button', { name: 'Allow', exact: true }).click()
  await page.waitForURL(`${callback}**`)
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { 'user-agent': await page.evaluate('navigator.userAgent').catch(() => page.look.userAgent ?? 'Chrome/142 Linux') },
    body: new URLSearchParams({
      grant_type: 'authorization_code', code: new URL(page.url()).searchParams.get('code'), redirect_uri: callback, code_verifier: verifier, client_id: publicID,
    }),
  })
  assert.equal(response.status, 200)
  return response.json()
}

const call = async (tokens) => (await fetch(`${api}/orders`, { headers: { authorization: `Bearer ${tokens.access_token}` } })).status

// refused waits until an API refuses a token, and says how many milliseconds
// after the given moment it did.
async function refused(tokens, since) {
  while (await call(tokens) !== 401) {
    assert.ok(Date.now() - since < 60_000, 'the API takes the token after a minute')
    await sleep(10)
  }
  return Date.now() - since
}

// mailTo waits for a mail to a user whose subject matches.
async function mailTo(name, subject) {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50)) {
    for (const file of readdirSync(mails).filter((f) => f.endsWith('.txt')).sort().reverse()) {
      const [to, about, ...text] = readFileSync(`${mails}/${file}`, 'utf8').split('\n')
      if (to === `<${name}@example.com>` && subject.test(about)) return text.join('\n')
    }
  }
  assert.fail(`no mail came to ${name}`)
}

for (const options of [
  { name: 'light', colorScheme: 'light', viewport: { width: 1100, height: 720 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1100, height: 720 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 360, height: 640 } },
  { name: 'phone-dark', colorScheme: 'dark', viewport: { width: 360, height: 640 } },
  { name: 'no-script', colorScheme: 'light', javaScriptEnabled: false, viewport: { width: 1100, height: 720 } },
]) {
  test(`the account: ${options.name}`, async (t) => {
    const user = options.name
    const laptop = await open(t, options)
    const phone = await open(t, { ...options, userAgent: android })
    const here = await enter(laptop, user)
    const there = await enter(phone, user)
    assert.equal(await call(here), 200)
    assert.equal(await call(there), 200)

    // Two devices, of which one ends the other.
    await laptop.goto(`${issuer}/account`)
    await laptop.getByRole('heading', { name: 'Your account' }).waitFor()
    await look(laptop, 'account')
    assert.equal(await laptop.getByText('This device', { exact: true }).count(), 2)
    const device = laptop.getByRole('listitem').filter({ hasText: 'Notes' }).filter({ hasText: 'Chrome on Android' })
    const pressed = Date.now()
    await device.getByRole('button', { name: /^End/ }).click()
    await laptop.getByRole('status').filter({ hasText: 'The session has ended' }).waitFor()
    const took = await refused(there, Date.now())
    assert.ok(took < 10_000, `the API refused the token ${took} ms after the page said so, ${Date.now() - pressed} ms after the press`)
    assert.equal(await call(here), 200)
    await laptop.getByRole('button', { name: 'End all others' }).click()
    await laptop.getByRole('status').filter({ hasText: 'All other sessions have ended' }).waitFor()
    await look(laptop, 'account-said')
    await phone.goto(`${issuer}/account`)
    assert.match(await phone.title(), /^Sign in/)

    // What applications may do.
    await laptop.getByRole('link', { name: 'Applications' }).click()
    await look(laptop, 'applications')
    await laptop.getByRole('button', { name: 'Disconnect Notes' }).click()
    await laptop.getByRole('status').filter({ hasText: 'lost its access' }).waitFor()
    assert.ok(await refused(here, Date.now()) < 10_000)
    await look(laptop, 'applications-none')

    // A new password.
    await laptop.getByRole('link', { name: 'Password', exact: true }).click()
    await look(laptop, 'password')
    const change = async (current, fresh) => {
      await laptop.getByLabel('Your password').fill(current)
      await laptop.getByLabel('New password', { exact: true }).fill(fresh)
      await laptop.getByLabel('New password, once more').fill(fresh)
      await laptop.getByRole('button', { name: 'Change password' }).click()
    }
    await change(password, 'too short')
    await laptop.getByRole('alert').filter({ hasText: 'at least 15 characters' }).waitFor()
    await look(laptop, 'password-refused')
    await change(password, 'seven kites over the dunes')
    await laptop.getByRole('status').filter({ hasText: 'Your new password is set' }).waitFor()
    assert.match(await mailTo(user, /was changed/), new RegExp(user))

    // Forgotten: the link comes by mail.
    await laptop.getByRole('button', { name: 'Sign out' }).click()
    await laptop.getByRole('heading', { name: 'Signed out' }).waitFor()
    await laptop.goto(`${issuer}/account`)
    await look(laptop, 'login-own')
    await laptop.getByRole('link', { name: 'Forgotten password?' }).click()
    await look(laptop, 'forgot')
    await laptop.getByLabel('User name or mail address').fill(`${user}@example.com`)
    await laptop.getByRole('button', { name: 'Send the link' }).click()
    await laptop.getByRole('heading', { name: 'Look into your mail' }).waitFor()
    await look(laptop, 'forgot-sent')
    const [link] = (await mailTo(user, /Set a new password/)).match(/http\S+\/reset\/\S+/)
    for (let i = 0; i < 3; i++) assert.equal((await fetch(link)).status, 200) // as mail scanners do
    await laptop.goto(link)
    await look(laptop, 'reset')
    await laptop.getByLabel('New password', { exact: true }).fill('nine owls in a dry barn')
    await laptop.getByLabel('New password, once more').fill('nine owls in a dry barn')
    await laptop.getByRole('button', { name: 'Set the password' }).click()
    await laptop.getByRole('heading', { name: 'Password set' }).waitFor()
    await look(laptop, 'reset-done')
    laptop.faults.length = 0 // the console tells of each 400
    await laptop.goto(link)
    await laptop.getByRole('heading', { name: 'This link does not count' }).waitFor()
    await look(laptop, 'reset-used')
    laptop.faults.length = 0
    await laptop.goto(`${issuer}/account/activity`)
    await signIn(laptop, user, 'nine owls in a dry barn')
    await laptop.getByRole('heading', { name: 'Activity' }).waitFor()
    for (const end = Date.now() + 60_000; await laptop.getByText('You set a new password by a link').count() === 0; await laptop.reload()) {
      assert.ok(Date.now() < end, 'the activity does not tell of the new password')
    }
    await look(laptop, 'activity')
    assert.deepEqual(laptop.faults, [])

    // Somebody else guesses: slowed, and told how long to wait.
    const stranger = await open(t, options)
    await stranger.goto(`${issuer}/account`)
    for (let i = 0; i < 12 && !(await stranger.getByText('Too many failed attempts').count()); i++) {
      await signIn(stranger, user, `guess ${i}`)
      await stranger.getByRole('alert').waitFor()
    }
    await stranger.getByRole('alert').filter({ hasText: /Please try again in \d+ seconds?/ }).waitFor()
    await look(stranger, 'login-slowed')
  })
}

test('no page of another site frames the account', async (t) => {
  const page = await open(t, { name: 'frame', colorScheme: 'light' })
  await page.goto(callback)
  await page.setContent(`<iframe src="${issuer}/login?page=account"></iframe>`)
  await page.waitForTimeout(500)
  const frame = page.frames()[1]
  assert.ok(!frame || !(await frame.content()).includes('password'))
})
