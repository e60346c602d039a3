// A route handler of web-standard frameworks: in Next.js this is app/api/order/route.js; Remix, SvelteKit, Astro, Hono
// and Workers call such a function, too. The page posts an order, and the shop's server, which has the token, sends.
// The order's own id is the key: a double click or a repeated request sends one mail.

import { createClient, PosternError } from 'postern/client';

const postern = createClient({
  url: process.env.POSTERN_URL ?? 'http://localhost:8080',
  token: process.env.POSTERN_TOKEN ?? 'sandbox-token-for-development',
});

export async function POST(request) {
  const { id, email } = await request.json();
  try {
    const { id: messageId } = await postern.queue(
      {
        from: 'Shop <shop@example.com>',
        to: email,
        subject: `Your order ${id}`,
        text: 'Thank you. We will write again when it is on its way.',
      },
      { idempotencyKey: `order-${id}-received`, signal: request.signal },
    );
    return Response.json({ messageId }, { status: 202 });
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    // What is wrong with the address is for the visitor, all else for the log.
    const problem = error.errors.find(({ pointer }) => pointer === '/to');
    if (problem) return Response.json({ email: problem.message }, { status: 422 });
    console.error(error);
    return Response.json({ error: 'We cannot send mail now.' }, { status: 503 });
  }
}
