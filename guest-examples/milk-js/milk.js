// The café's middleware: it lets the handler brew, and adds milk.

addEventListener('fetch', (event) => event.respondWith(addMilk(event.request)));

// Where a middleware finds the component that it wraps.
const NEXT = 'http://next.callgate.internal';

async function addMilk(request) {
  const { pathname, search } = new URL(request.url);
  const response = await fetch(NEXT + pathname + search, {
    method: request.method,
    headers: request.headers,
    body: await body(request),
  });
  if (response.status !== 201) {
    return response;
  }
  const coffee = await response.json();
  // The body grows, and the length of the old one no longer fits.
  const headers = new Headers(response.headers);
  headers.delete('content-length');
  return new Response(JSON.stringify({ ...coffee, milk: 'steamed' }), { status: 201, headers });
}

// The Fetch API refuses a body, even an empty one, where the method has none.
async function body(request) {
  return ['GET', 'HEAD'].includes(request.method) ? undefined : request.arrayBuffer();
}
