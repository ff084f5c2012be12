// The status lists of the Express example, against an issuer made by hand that
// sends what it should not.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import test from 'node:test'
import { deflateSync } from 'node:zlib'
import { SignJWT, createLocalJWKSet, exportJWK, generateKeyPair } from 'jose'

const { Lists } = await import(`${process.env.INTEROP_EXPRESS}/lists.mjs`)
const { publicKey, privateKey } = await generateKeyPair('ES256')
const stranger = await generateKeyPair('ES256')
const keySet = createLocalJWKSet({ keys: [{ ...await exportJWK(publicKey), kid: 'k', alg: 'ES256' }] })
const now = () => Math.floor(Date.now() / 1000)

const good = () => ({ bytes: Buffer.alloc(128), iat: now(), exp: now() + 300, bits: 1, typ: 'statuslist+jwt', key: privateKey })

async function token(uri, list) {
  const lst = (list.packed ?? deflateSync(list.bytes)).toString('base64url')
  return new SignJWT({ sub: list.sub ?? uri, iat: list.iat, exp: list.exp, ttl: 1, status_list: { bits: list.bits, lst } })
    .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: list.typ }).sign(list.key)
}

// issuer serves a list at /status/1; change() sends another one from then on.
async function issuer(t, staleAfter = 300_000) {
  const list = good()
  let version = 0
  let status = 0
  const asked = []
  const server = createServer(async (req, res) => {
    asked.push(req.headers.prefer)
    if (status || req.url !== '/status/1') return res.writeHead(status || 404).end()
    res.setHeader('ETag', `"${version}"`)
    if (req.headers['if-none-match'] === `"${version}"`) return res.writeHead(304).end()
    res.setHeader('Content-Type', 'application/statuslist+jwt')
    res.end(await token(`${at}/status/1`, list))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const at = `http://127.0.0.1:${server.address().port}`
  const lists = new Lists({ issuer: at, staleAfter, leeway: 10, keys: async () => keySet })
  t.after(() => {
    lists.close()
    server.close()
    server.closeAllConnections()
  })
  const check = (idx, uri = `${at}/status/1`) => lists.check({ idx, uri })
  return { at, check, asked, answer: (with_) => { status = with_ }, change: (how) => { Object.assign(list, how); version++ } }
}

const refused = (promise, status, message) => assert.rejects(promise, (error) => error.status === status && message.test(error.message))

// until asks again and again, for a list that is polled each second.
async function until(what, holds) {
  for (const end = Date.now() + 60_000; !await holds(); await new Promise((resolve) => setTimeout(resolve, 50))) {
    assert.ok(Date.now() < end, what)
  }
}

const revoked = (promise) => promise.then(() => false, (error) => error.message === 'revoked')

for (const [what, how] of Object.entries({
  'of another address': { sub: 'http://127.0.0.1/status/2' },
  'that has expired': { exp: now() - 60 },
  'without a date': { iat: undefined },
  'of the future': { iat: now() + 60 },
  'with three bits': { bits: 3 },
  'of another type': { typ: 'at+jwt' },
  'that a stranger signed': { key: stranger.privateKey },
  'that inflates to 5 MiB': { bytes: Buffer.alloc(5 << 20) },
  'with another checksum': { packed: Buffer.concat([deflateSync(Buffer.alloc(128)).subarray(0, -1), Buffer.from([7])]) },
})) {
  test(`a list ${what} is refused, and the next good one is taken`, async (t) => {
    const is = await issuer(t)
    is.change(how)
    await refused(is.check(7), 503, /cannot be had/)
    is.change({ ...good(), sub: undefined, packed: undefined })
    await until('it is taken', () => is.check(7).then(() => true, () => false))
  })
}

test('places that cannot be are refused', async (t) => {
  const is = await issuer(t)
  await is.check(1023)
  for (const idx of [1024, 2 ** 40]) await refused(is.check(idx), 401, /beyond/)
  for (const idx of [-1, 1.5, '7', undefined]) await refused(is.check(idx), 401, /no place/)
  for (const uri of ['https://evil.example/status/1', `${is.at}/status/1?x=1`, 'x', is.at.replace('//', '//a@')]) {
    await refused(is.check(7, uri), 401, /not at the issuer/)
  }
  await refused(is.check(7, `${is.at}/status/9`), 503, /cannot be had/)
})

test('what was revoked stays so, whatever later lists say', async (t) => {
  const is = await issuer(t)
  const old = now() - 100
  is.change({ iat: old })
  await is.check(7)
  const bytes = Buffer.alloc(128)
  bytes[0] = 0x80
  is.change({ bytes, iat: old + 10 })
  await until('it is revoked', () => revoked(is.check(7)))
  await is.check(6)
  is.change({ bytes: Buffer.alloc(128, 2), iat: old }) // an old list, which would revoke others
  await new Promise((resolve) => setTimeout(resolve, 2500))
  assert.ok(await revoked(is.check(7)))
  await is.check(9)
  const other = Buffer.alloc(128)
  other[1] = 1
  is.change({ bytes: other, iat: old + 10 }) // of the same date, and it has forgotten
  await until('the new bit is there', () => revoked(is.check(8)))
  assert.ok(await revoked(is.check(7)))
})

test('a list that is 404 is away, and its tokens have not expired', async (t) => {
  const is = await issuer(t)
  await is.check(7)
  is.answer(404)
  await new Promise((resolve) => setTimeout(resolve, 1500))
  await is.check(7)
  const sleeps = t.mock.method(Date, 'now', ((real) => () => real() + 400_000)(Date.now))
  const before = is.asked.length, begun = performance.now()
  for (let i = 0; i < 20; i++) await refused(is.check(7), 503, /too old/)
  assert.ok(is.asked.length - before <= 2 + (performance.now() - begun) / 1000, `${is.asked.length - before} requests`)
  sleeps.mock.restore()
})

test('a machine that slept asks at once', async (t) => {
  const is = await issuer(t)
  is.change({ exp: undefined })
  await is.check(7)
  const real = Date.now
  t.mock.method(Date, 'now', () => real() + 400_000)
  await is.check(7)
  await is.check(7)
})

test('a request waits for half of staleAfter', async (t) => {
  const is = await issuer(t, 10_000)
  await is.check(7)
  await until('it waits', async () => is.asked.length > 1)
  assert.deepEqual(is.asked.slice(0, 2), [undefined, 'wait=5'])
})

test('an issuer that is away is not asked for its metadata at each token', async (t) => {
  const { Verifier } = await import(`${process.env.INTEROP_EXPRESS}/jeton.mjs`)
  let asked = 0
  const server = createServer((req, res) => {
    asked++
    res.writeHead(503).end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const verifier = new Verifier({ issuer: `http://127.0.0.1:${server.address().port}`, audience: 'a' })
  t.after(() => {
    verifier.close()
    server.close()
    server.closeAllConnections()
  })
  for (let i = 0; i < 100; i++) await refused(verifier.verify('x'), 503, /metadata/)
  assert.ok(asked >= 1 && asked < 10, `${asked} requests`)
  assert.throws(() => new Verifier({ issuer: 'http://127.0.0.1', audience: 'a', staleAfter: 300 }), /staleAfter/)
})
