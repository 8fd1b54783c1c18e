import { fastify } from 'fastify';

const app = fastify({ keepAliveTimeout: 1000 });
app.get('/', async () => String(process.pid));
app.get('/ip', async (request) => request.ip);
await app.listen({ port: Number(process.env['PORT']), host: 'localhost' });
