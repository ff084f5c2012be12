// Status lists (draft-ietf-oauth-status-list): fetched when a token names one,
// then kept fresh by one request each that waits for a change (RFC 7240).
import { inflateSync } from 'node:zlib'
import { compactVerify } from 'jose'
import { Refusal, algorithms } from './refusal.mjs'

const type = 'statuslist+jwt'
const mostBits = 4 << 20 // bytes, once inflated: a few can become gigabytes
const mostBody = 8 << 20
const mostLists = 100
const letGo = 5 * 60_000 // a list is followed for so long after a token asked
const pace = 250 // the least time between two requests for a list
const atOnce = 1000 // an answer that came sooner has not waited

export class Lists {
  #held = new Map()
  constructor(options) { this.options = options }

  // check refuses a token by its place in a list. Its own checks have passed.
  async check(place) {
    if (!Number.isSafeInteger(place?.idx) || place.idx < 0 || typeof place.uri !== 'string') throw new Refusal('no place in a status list')
    const list = this.#list(place.uri)
    list.used = Date.now()
    const waited = !list.live
    if (waited) await list.answer()
    let stale = list.judge(place.idx)
    if (stale && !waited && list.renew()) {
      await list.answer()
      stale = list.judge(place.idx)
    }
    if (stale) throw new Refusal('the status list is too old: can the issuer be reached from here?', { status: 503 })
  }

  #list(uri) {
    let list = this.#held.get(uri)
    if (list) return list
    // Only at the issuer's origin: a token must not choose whom we ask.
    const url = URL.canParse(uri) && new URL(uri)
    if (!url || url.origin !== new URL(this.options.issuer).origin || url.username || url.password || /[?#]/.test(uri)) {
      throw new Refusal('the status list is not at the issuer')
    }
    if (this.#held.size >= mostLists) {
      const oldest = [...this.#held.values()].reduce((a, b) => (a.used < b.used ? a : b))
      this.#held.delete(oldest.uri)
      oldest.stop()
    }
    list = new List(uri, this.options)
    this.#held.set(uri, list)
    return list
  }

  close() { for (const list of this.#held.values()) list.stop() }
}

class List {
  used = 0
  live = false // it is followed, and an answer has come
  #first
  #tell // resolves #first
  #wake // ends the pause that is under way
  #hurried = false
  #renewed // the confirmation of what was asked for anew since it was too old
  #stopped = false
  #request // the AbortController of the one that is under way
  constructor(uri, options) { Object.assign(this, { uri, options }) }

  stop() {
    this.#stopped = true
    this.#request?.abort()
    this.#tell?.()
  }

  // answer follows the list; it resolves at the next answer, good or bad, or
  // after 5 s.
  answer() {
    if (!this.#first) {
      this.#renewed = this.now?.confirmed
      this.#expect()
      this.#follow()
    }
    return Promise.race([this.#first, new Promise((resolve) => setTimeout(resolve, 5000).unref())])
  }

  #expect() {
    this.live = false
    this.#first = new Promise((resolve) => { this.#tell = resolve })
  }

  // judge goes by what is known. It returns whether that is too old.
  judge(idx) {
    const { now } = this
    if (!now) throw new Refusal('the status list cannot be had', { status: 503 })
    const per = 8 / now.width
    const byte = now.bits[Math.floor(idx / per)]
    if (byte === undefined) throw new Refusal('idx is beyond the list')
    if ((byte >> (idx % per * now.width)) & ((1 << now.width) - 1)) throw new Refusal('revoked') // also where that is known from long ago
    const over = now.exp !== undefined && Date.now() / 1000 > now.exp + this.options.leeway
    return over || Date.now() - now.confirmed > this.options.staleAfter
  }

  // renew asks at once, without waiting, for what has become too old though no
  // request has failed: the machine slept, or the clock was put forward. Once for
  // what is known: an issuer that is away is not asked faster by that.
  renew() {
    if (this.#renewed === this.now.confirmed) return !this.live
    this.#renewed = this.now.confirmed
    if (this.#first && this.live) {
      this.#expect()
      this.#hurried = true
      this.#request?.abort()
      this.#wake?.()
    }
    return true
  }

  async #follow() {
    // One that waits says nothing until it ends. So it has to be known before it
    // that the list is as it was: at first, and after a failure.
    for (let failures = 0, waits = false; !this.#stopped; waits = failures === 0 && !this.#hurried) {
      const begun = Date.now()
      this.#hurried = false
      let pause
      try {
        const soon = await this.#ask(waits)
        failures = 0
        pause = soon ? Math.max(0, begun + pace - Date.now()) : Math.min((this.now.ttl ?? 15) * 1000, this.options.staleAfter / 2) * (0.8 + 0.2 * Math.random())
      } catch (error) {
        if (this.#hurried) { // what was cut short says nothing of the issuer
          await new Promise((resolve) => setTimeout(resolve, pace).unref())
          continue
        }
        if (++failures === 2) console.error(`${this.uri} cannot be refreshed: ${error.message}`)
        pause = Math.min(500 * 2 ** (failures - 1), 10_000) * (0.7 + 0.3 * Math.random())
      }
      this.live = true
      this.#tell()
      await new Promise((resolve) => {
        this.#wake = resolve
        setTimeout(resolve, pause).unref()
      })
      if (Date.now() - this.used > letGo) break // what is known stays, nobody follows it
    }
    this.live = false
    this.#first = undefined
  }

  // ask makes one request. It returns whether the next one may follow at once.
  async #ask(mayWait) {
    const known = this.now
    const wait = Math.min(20, Math.floor(this.options.staleAfter / 2000)) // it ends before what is known is too old
    const headers = { Accept: `application/${type}`, 'Cache-Control': 'no-cache' }
    if (known?.etag) headers['If-None-Match'] = known.etag
    if (known?.etag && mayWait) headers.Prefer = `wait=${wait}`
    const begun = Date.now()
    const request = this.#request = new AbortController()
    const timer = setTimeout(() => request.abort(), headers.Prefer ? wait * 1000 + 5000 : 10_000)
    try {
      const response = await fetch(this.uri, { headers, signal: request.signal, redirect: 'error' })
      return await this.#answered(response, known, mayWait, begun)
    } finally {
      clearTimeout(timer)
    }
  }

  async #answered(response, known, mayWait, begun) {
    let changed = false
    if (response.status === 304 && known) {
      if (known.exp !== undefined && Date.now() / 1000 > known.exp + this.options.leeway) {
        known.etag = undefined
        throw new Error('unchanged, and expired')
      }
      known.confirmed = Date.now()
    } else if (response.status === 200) {
      changed = await this.#take(response, known)
    } else {
      await response.body?.cancel() // 404 too: a server keeps lists for longer than their tokens live
      throw new Error(`answered with ${response.status}`)
    }
    const waited = response.headers.get('Preference-Applied')?.includes('wait')
    const varies = response.headers.get('Vary')?.toLowerCase().includes('prefer')
    return !known || !mayWait || (changed && (waited || varies)) || (waited && Date.now() - begun >= atOnce)
  }

  // take checks a list that came, and goes by it from now on.
  async #take(response, known) {
    if (response.headers.get('Content-Type') !== `application/${type}`) throw new Error('not a status list')
    const { payload, protectedHeader } = await compactVerify(await bounded(response), await this.options.keys(), { algorithms })
    if (protectedHeader.typ?.toLowerCase().replace(/^application\//, '') !== type) throw new Error('typ is not that of a status list')
    const claims = JSON.parse(new TextDecoder().decode(payload))
    const { sub, iat, exp, ttl, status_list: { bits: width, lst } } = claims
    const now = Date.now() / 1000
    if (sub !== this.uri) throw new Error('sub is not its address')
    if (typeof iat !== 'number' || iat > now + this.options.leeway) throw new Error('iat is missing or in the future')
    if (exp !== undefined && !(now < exp + this.options.leeway)) throw new Error('expired')
    if (ttl !== undefined && !(ttl > 0)) throw new Error('ttl is not positive')
    if (![1, 2, 4, 8].includes(width)) throw new Error('bits are not 1, 2, 4 or 8')
    // zlib with a bound, which also checks the Adler-32 at its end.
    const bits = inflateSync(Buffer.from(lst, 'base64url'), { maxOutputLength: mostBits })
    let changed = !known
    if (known) {
      // Equal ones are usual, since iat is rounded down; an older one is a replay.
      if (iat < known.iat || width !== known.width || bits.length < known.bits.length) throw new Error('older or smaller than the list at hand')
      changed = keepInvalid(known, bits, width)
    }
    this.now = { bits, width, iat, exp, ttl: ttl && Math.min(Math.max(ttl, 1), 300), etag: response.headers.get('ETag'), confirmed: Date.now() }
    return changed
  }
}

// keepInvalid sets what was invalid (1) before, for ever. It returns whether
// any status is another one.
function keepInvalid(known, bits, width) {
  const mask = (1 << width) - 1
  let changed = bits.length > known.bits.length
  known.bits.forEach((was, i) => {
    if (was === bits[i]) return
    for (let shift = 0; shift < 8; shift += width) {
      if (((was >> shift) & mask) === 1) bits[i] = (bits[i] & ~(mask << shift)) | (1 << shift)
    }
    changed ||= was !== bits[i]
  })
  return changed
}

// bounded reads a body that is not longer than a list can be.
async function bounded(response) {
  const parts = []
  let length = 0
  for await (const part of response.body) {
    if ((length += part.length) > mostBody) throw new Error('too long')
    parts.push(part)
  }
  return Buffer.concat(parts).toString('latin1')
}
