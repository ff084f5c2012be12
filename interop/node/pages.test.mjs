// The pages in Chromium, with JavaScript and without, light and dark, on a
// phone, each looked over by axe.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import test, { after, before } from 'node:test'
import { chromium } from 'playwright-core'
import { issuer, publicID, username, password } from './jeton.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
const pictures = process.env.INTEROP_PICTURES // a folder for screenshots

let browser, application, callback

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.INTEROP_CHROMIUM, args: ['--no-sandbox'] })
  application = createServer((req, res) => {
    let body = ''
    req.on('data', (chunk) => { body += chunk })
    req.on('end', () => {
      res.setHeader('content-type', 'text/html')
      const q = new URLSearchParams(req.method === 'POST' ? body : new URL(req.url, callback).search)
      res.end(`<title>application</title><pre>${JSON.stringify({ ...Object.fromEntries(q), referer: req.headers.referer })}</pre>`)
    })
  })
  await new Promise((done) => application.listen(0, '127.0.0.1', done))
  callback = `http://127.0.0.1:${application.address().port}/cb`
})

after(async () => {
  await browser.close()
  application.close()
})

const ask = (more = {}) => `${issuer}/authorize?` + new URLSearchParams({
  response_type: 'code', client_id: publicID, redirect_uri: callback, scope: 'read', state: 'st&te',
  code_challenge: challenge, code_challenge_method: 'S256', ...more,
})

// look takes a picture and lets axe look too. Where a page may run no script
// axe is run by the debugger, which the page's policy does not bind.
async function look(page, name) {
  const { colorScheme, javaScriptEnabled } = page.look
  if (pictures) await page.screenshot({ path: `${pictures}/${name}-${page.look.name}.png`, fullPage: true })
  if (javaScriptEnabled === false) return
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => axe.run(document))
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], `${name}, ${colorScheme}`)
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

const answered = async (page) => {
  await page.waitForURL(`${callback}**`)
  return JSON.parse(await page.locator('pre').innerText())
}

async function redeem(code) {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: callback, code_verifier: verifier, client_id: publicID }),
  })
  assert.equal(response.status, 200)
  return response.json()
}

for (const options of [
  { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 360, height: 640 }, deviceScaleFactor: 2 },
  { name: 'phone-dark', colorScheme: 'dark', viewport: { width: 360, height: 640 }, deviceScaleFactor: 2 },
  { name: 'no-script', colorScheme: 'light', javaScriptEnabled: false, viewport: { width: 1280, height: 800 } },
]) {
  test(`log in, agree, sign out: ${options.name}`, async (t) => {
    const page = await open(t, options)
    await page.goto(ask())
    assert.match(await page.title(), /^Sign in/)
    await look(page, 'login')

    await page.getByLabel('User name').fill(username)
    await page.getByLabel('Password').fill('not the password')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    await look(page, 'login-wrong')
    page.faults.length = 0 // the console tells of the 400

    await page.getByLabel('Password').fill(password)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: /asks for access/ }).waitFor()
    await look(page, 'consent')
    await page.getByRole('button', { name: 'Allow', exact: true }).click()
    const answer = await answered(page)
    assert.equal(answer.state, 'st&te')
    assert.equal(answer.iss, issuer)
    assert.equal(answer.referer, undefined)
    assert.ok((await redeem(answer.code)).access_token)

    await page.goto(ask({ prompt: 'select_account' }))
    await look(page, 'account')
    await page.getByRole('button', { name: /Continue as/ }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    assert.equal((await answered(page)).error, 'access_denied')

    await page.goto(ask({ response_mode: 'form_post' }))
    await page.getByRole('button', { name: 'Allow', exact: true }).click()
    if (options.javaScriptEnabled === false) await page.getByRole('button', { name: 'Continue' }).click()
    assert.ok((await answered(page)).code)

    await page.goto(ask({ client_id: 'nobody' }))
    assert.match(await page.title(), /This does not work/)
    await look(page, 'error')
    page.faults.length = 0

    await page.goto(`${issuer}/end_session`)
    await look(page, 'signout')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Signed out' }).waitFor()
    await look(page, 'signedout')
    await page.goto(ask())
    assert.match(await page.title(), /^Sign in/)
    assert.deepEqual(page.faults, [])
  })
}

test('no page of another site frames the login', async (t) => {
  const page = await open(t, { name: 'frame', colorScheme: 'light' })
  await page.goto(callback)
  await page.setContent(`<iframe src="${ask().replaceAll('&', '&amp;')}"></iframe>`)
  await page.waitForTimeout(500)
  const frame = page.frames()[1]
  assert.ok(!frame || !(await frame.content()).includes('password'))
})

test('the form cannot be sent from another site', async (t) => {
  const page = await open(t, { name: 'csrf', colorScheme: 'light' })
  await page.goto(ask())
  await page.goto(callback.replace('127.0.0.1', 'localhost'))
  await page.setContent(`<form method="post" action="${ask().replace('/authorize', '/login').replaceAll('&', '&amp;')}">
    <input name="username" value="${username}"><input name="password" value="${password}"><button name="decision" value="login">x</button></form>`)
  const [response] = await Promise.all([page.waitForResponse((r) => r.url().startsWith(`${issuer}/login`)), page.getByRole('button').click()])
  assert.equal(response.status(), 403)
})

test('the back button and a page from before', async (t) => {
  const page = await open(t, { name: 'back', colorScheme: 'light' })
  await page.goto(ask())
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Allow', exact: true }).click()
  assert.ok((await answered(page)).code)
  await page.goBack()
  await page.getByRole('button', { name: 'Allow', exact: true }).click()
  assert.ok((await redeem((await answered(page)).code)).access_token)
})

async function signIn(page) {
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.keyboard.press('Enter')
}
const allow = (page) => page.getByRole('button', { name: 'Allow', exact: true })

test('two tabs at once', async (t) => {
  const one = await open(t, { name: 'tabs', colorScheme: 'light' })
  const two = await one.context().newPage()
  await one.goto(ask({ state: 'one' }))
  await two.goto(ask({ state: 'two', prompt: 'login' }))
  await signIn(one)
  await allow(one).waitFor()
  await signIn(two) // its page is older than the sign-in of the other tab
  await allow(two).waitFor()
  // The form in the first tab is of a sign-in that is over: it asks once more.
  await Promise.all([one.waitForEvent('load'), allow(one).click()])
  await Promise.all([allow(one).click(), allow(two).click()])
  for (const [page, state] of [[one, 'one'], [two, 'two']]) {
    const answer = await answered(page)
    assert.equal(answer.state, state)
    assert.ok((await redeem(answer.code)).access_token)
  }
})

test('a closed tab, a no that is taken back, and back after signing out', async (t) => {
  const first = await open(t, { name: 'closed', colorScheme: 'light' })
  await first.goto(ask())
  await signIn(first)
  await allow(first).waitFor()
  const page = await first.context().newPage()
  await first.close()
  await page.goto(ask())
  await page.getByRole('button', { name: 'Cancel' }).click()
  assert.equal((await answered(page)).error, 'access_denied')
  await page.goBack()
  await allow(page).click()
  assert.ok((await redeem((await answered(page)).code)).access_token)

  await page.goto(ask())
  await allow(page).waitFor()
  await page.goto(`${issuer}/end_session`)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('heading', { name: 'Signed out' }).waitFor()
  await page.goBack()
  await page.goBack()
  assert.match(await page.title(), /^Sign in/) // nothing of the old page is kept
})

test('a double click, also on a request that was pushed', async (t) => {
  const page = await open(t, { name: 'double', colorScheme: 'light' })
  await page.goto(ask())
  await signIn(page)
  await allow(page).dblclick({ noWaitAfter: true })
  assert.ok((await redeem((await answered(page)).code)).access_token)

  const response = await fetch(`${issuer}/par`, { method: 'POST', body: new URL(ask({ state: 'pushed' })).searchParams })
  assert.equal(response.status, 201)
  const { request_uri } = await response.json()
  await page.goto(`${issuer}/authorize?` + new URLSearchParams({ client_id: publicID, request_uri }))
  await allow(page).dblclick({ noWaitAfter: true })
  const answer = await answered(page)
  assert.equal(answer.state, 'pushed')
  assert.ok((await redeem(answer.code)).access_token)
})
