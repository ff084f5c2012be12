// Node.js 18, which Debian 12 has, keeps Web Crypto behind a flag; later
// versions have it among the globals, where the libraries look for it.
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto
if (!globalThis.CryptoKey) {
  const key = await webcrypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign'])
  globalThis.CryptoKey = key.constructor
}
