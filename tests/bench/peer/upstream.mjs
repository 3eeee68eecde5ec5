// Stripe's "retrieve a subscription", answered after LATENCY_MS; prints its port.
import http from 'node:http'

const latency = Number(process.env.LATENCY_MS)

function subscriptionOf(id) {
  const item = n => ({
    id: `si_${id}_${n}`, object: 'subscription_item', subscription: id, quantity: 1, created: 1700000000,
    price: { id: `price_${n}`, object: 'price', currency: 'gbp', unit_amount: 1000 * n },
  })
  return {
    id, object: 'subscription', customer: `cus_${id}`, status: 'active', created: 1700000000, currency: 'gbp',
    cancel_at_period_end: false, metadata: { read_at: String(Date.now()) },
    items: { object: 'list', has_more: false, data: [1, 2, 3].map(item) },
  }
}

const server = http.createServer((request, response) => {
  const answer = JSON.stringify(subscriptionOf(request.url.split('?')[0].split('/').pop()))
  const send = () => response.writeHead(200, { 'Content-Type': 'application/json' }).end(answer)
  if (latency) setTimeout(send, latency)
  else send()
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
