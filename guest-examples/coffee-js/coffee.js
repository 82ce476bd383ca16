// The café's handler: it takes an order and brews the coffee.

addEventListener('fetch', (event) => event.respondWith(brew(event.request)));

async function brew(request) {
  if (request.method !== 'POST') {
    return problem(405, 'coffee is ordered with POST', { allow: 'POST' });
  }
  const body = await request.arrayBuffer();
  const order = parse(body);
  if (typeof order?.drink !== 'string') {
    return problem(400, 'an order is JSON and names a drink');
  }
  if (order.machine === 'broken') {
    return problem(503, 'the coffee machine is broken');
  }
  const { pathname, search } = new URL(request.url);
  const coffee = {
    drink: order.drink,
    size: order.size ?? 'medium',
    extras: values(request.headers, 'extra'),
    ordered_at: pathname + search,
    order_bytes: body.byteLength,
  };
  return Response.json(coffee, { status: 201 });
}

function parse(body) {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

// A header that comes twice is one here: the Fetch API joins the values with commas.
function values(headers, name) {
  return headers.get(name)?.split(', ') ?? [];
}

function problem(status, title, headers = {}) {
  const body = JSON.stringify({ status, title });
  return new Response(body, { status, headers: { 'content-type': 'application/problem+json', ...headers } });
}
