// Node.js 18, which Debian 12 has, keeps Web Crypto behind a flag; later
// versions have it as a global. The libraries look for the global.
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto
