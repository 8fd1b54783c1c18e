import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const app = new Hono();
app.get('/', (context) => context.json({ pid: process.pid }));
app.get('/healthz', (context) => context.text('ok'));
const server = serve({ fetch: app.fetch, port: Number(process.env.PORT) });
process.on('SIGTERM', () => server.close(() => process.exit(0)));
