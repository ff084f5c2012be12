// The pages of a device without a browser in Chromium: with JavaScript and
// without, light and dark, on a phone, each looked over by axe.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import test, { after, before } from 'node:test'
import { chromium } from 'playwright-core'
import { issuer, publicID, username, password } from './jeton.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const pictures = process.env.INTEROP_PICTURES // a folder for screenshots
let browser

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.INTEROP_CHROMIUM, args: ['--no-sandbox'] })
})

after(() => browser.close())

const post = (path, form) => fetch(`${issuer}${path}`, { method: 'POST', body: new URLSearchParams({ client_id: publicID, ...form }) })

const ask = async () => (await post('/device_authorization', { scope: 'openid read' })).json()

const poll = (device_code) => post('/token', { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code })

async function look(page, name) {
  const { colorScheme, javaScriptEnabled } = page.look
  if (pictures) await page.screenshot({ path: `${pictures}/${name}-${page.look.name}.png`, fullPage: true })
  if (javaScriptEnabled === false) return
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => axe.run(document))
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], `${name}, ${colorScheme}`)
}

for (const options of [
  { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 360, height: 640 }, deviceScaleFactor: 2 },
  { name: 'phone-dark', colorScheme: 'dark', viewport: { width: 360, height: 640 }, deviceScaleFactor: 2 },
  { name: 'no-script', colorScheme: 'light', javaScriptEnabled: false, viewport: { width: 1280, height: 800 } },
]) {
  test(`type the code, sign in, allow: ${options.name}`, async (t) => {
    const context = await browser.newContext(options)
    context.setDefaultTimeout(60_000)
    t.after(() => context.close())
    const page = await context.newPage()
    page.look = options
    const faults = []
    page.on('console', (line) => { if (line.type() === 'error') faults.push(line.text()) })
    page.on('pageerror', (error) => faults.push(String(error)))
    const asked = await ask()

    await page.goto(`${issuer}/device`)
    await look(page, 'device-code')
    await page.keyboard.type('bcdf ghjk') // the field has the focus
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    await look(page, 'device-code-wrong')
    faults.length = 0 // the console tells of the 400

    await page.getByLabel('Code').fill(asked.user_code.toLowerCase().replace('-', ' '))
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.getByLabel('User name').fill(username)
    await page.getByLabel('Password').fill(password)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Living room TV on a device asks for access' }).waitFor()
    assert.ok((await page.locator('main').innerText()).includes(asked.user_code))
    await look(page, 'device')
    assert.equal((await (await poll(asked.device_code)).json()).error, 'authorization_pending')
    const question = page.url()

    await page.getByRole('button', { name: 'Allow', exact: true }).click()
    await page.getByRole('heading', { name: 'Your device is connected' }).waitFor()
    await look(page, 'device-done')
    await page.reload()
    await page.getByRole('heading', { name: 'Your device is connected' }).waitFor()
    await page.goBack()
    await page.goto(question)
    await page.getByRole('heading', { name: 'Your device is connected' }).waitFor()
    const tokens = await poll(asked.device_code)
    assert.equal(tokens.status, 200)
    assert.ok((await tokens.json()).id_token)

    // Signed in now, and asked all the same.
    const second = await ask()
    await page.goto(second.verification_uri_complete)
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('heading', { name: 'Nothing was allowed' }).waitFor()
    await look(page, 'device-denied')
    assert.equal((await (await poll(second.device_code)).json()).error, 'access_denied')
    assert.deepEqual(faults, [])
  })
}
