// An API that takes the access tokens of a Jeton server:
//
//   npm install
//   API_ISSUER=http://127.0.0.1:9096 API_AUDIENCE=http://127.0.0.1:9096 npm start
import express from 'express'
import { Verifier } from './jeton.mjs'

const issuer = process.env.API_ISSUER ?? 'http://127.0.0.1:9096'
const resource = process.env.API_RESOURCE // the address of this API, where callers find its metadata
const verifier = new Verifier({ issuer, audience: process.env.API_AUDIENCE ?? issuer, resource })

const app = express()
app.disable('x-powered-by')
if (resource) app.use(verifier.metadata('read', 'write'))
app.get('/orders', verifier.require({ scopes: ['read'] }), (req, res) => {
  res.json({ orders: ['a lantern'], of: req.token.sub, roles: req.token.roles })
})
app.delete('/orders/:id', verifier.require({ scopes: ['write'], roles: ['ROLE_ADMIN'] }), (req, res) => res.status(204).end())

const server = app.listen(Number(process.env.API_PORT ?? 8082), '127.0.0.1', () => {
  console.error(`listening on http://127.0.0.1:${server.address().port}`)
})
process.on('SIGTERM', () => {
  verifier.close()
  server.close()
  server.closeAllConnections()
})
