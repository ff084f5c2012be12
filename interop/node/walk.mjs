// walk goes through the pages of the server as a browser without JavaScript
// does: cookies, redirects, forms. It returns the address that the client is
// sent back to, without asking for it.
import assert from 'node:assert/strict'
import { issuer, username, password } from './jeton.mjs'

const unescape = (text) => text.replaceAll('&#43;', '+').replaceAll('&#34;', '"').replaceAll('&#39;', "'")
  .replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')

export class Walker {
  cookies = new Map()

  constructor(user = username) { this.user = user }

  async load(url, form) {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET', body: form, redirect: 'manual',
      headers: { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      if (/max-age=0/i.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }

  // to walks from an address to wherever the server sends the browser away.
  async to(url) {
    let response = await this.load(url)
    for (let step = 0; step < 12; step++) {
      const location = response.headers.get('location')
      if (location) {
        assert.equal(response.status, 303)
        const next = new URL(location, issuer)
        if (next.origin !== new URL(issuer).origin) return next
        response = await this.load(next)
        continue
      }
      response = await this.submit(await response.text())
    }
    throw new Error('the pages have no end')
  }

  // through walks from an address to a page without a form, which it returns.
  async through(url, decision) {
    let response = await this.load(url)
    for (let step = 0; step < 12; step++) {
      const location = response.headers.get('location')
      if (location) {
        assert.equal(response.status, 303)
        response = await this.load(new URL(location, issuer))
        continue
      }
      const html = await response.text()
      if (!html.includes('<form method="post"')) return html
      response = await this.submit(html, html.includes('type="password"') ? undefined : decision)
    }
    throw new Error('the pages have no end')
  }

  // submit fills the form of a page and says yes, or what it is told to.
  submit(html, decision) {
    const action = /<form method="post" action="([^"]*)"/.exec(html)
    assert.ok(action, `no form on the page: ${html}`)
    const form = new URLSearchParams()
    for (const [, name, value] of html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)) {
      form.append(unescape(name), unescape(value))
    }
    if (html.includes('type="password"')) {
      form.append('username', this.user)
      form.append('password', password)
    }
    form.append('decision', decision ?? unescape(/<button name="decision" value="([^"]*)"/.exec(html)[1]))
    return this.load(new URL(unescape(action[1]), issuer), form)
  }
}
