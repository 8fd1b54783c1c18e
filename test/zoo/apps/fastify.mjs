import Fastify from 'fastify';

const app = Fastify({ logger: true });
app.get('/', async () => ({ pid: process.pid }));
app.get('/healthz', async () => 'ok');
await app.listen({ port: Number(process.env.PORT), host: '0.0.0.0' });
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => app.close().then(() => process.exit(0)));
