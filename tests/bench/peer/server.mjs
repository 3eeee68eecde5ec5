// The peer behind Node's own HTTP server: it answers a webhook once the subscription, read anew, is in its database.
import http from 'node:http'
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.MODULES}/`)
const { StripeSync, runMigrations } = require('@supabase/stripe-sync-engine')
const stripe = require('stripe')
const Stripe = stripe.default ?? stripe

const { DATABASE_URL, UPSTREAM_PORT, SECRET } = process.env
await runMigrations({ databaseUrl: DATABASE_URL, schema: 'stripe' })
const sync = new StripeSync({
  schema: 'stripe', stripeSecretKey: 'sk_test_bench', stripeWebhookSecret: SECRET, stripeApiVersion: '2020-08-27',
  backfillRelatedEntities: false, revalidateObjectsViaStripeApi: ['subscription'],
  poolConfig: { max: 10, connectionString: DATABASE_URL, keepAlive: true },
})
sync.stripe = new Stripe('sk_test_bench', {
  apiVersion: '2020-08-27', host: '127.0.0.1', port: Number(UPSTREAM_PORT), protocol: 'http', telemetry: false,
})

const server = http.createServer(async (request, response) => {
  const pieces = []
  for await (const piece of request) pieces.push(piece)
  let status = 200
  try {
    await sync.processWebhook(Buffer.concat(pieces), request.headers['stripe-signature'])
  } catch (error) {
    console.error(error)
    status = 400
  }
  response.writeHead(status, { 'Content-Length': 2, 'Content-Type': 'application/json' }).end('{}')
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
