// An ES module with a top-level await before it listens.
import { createServer } from 'node:http';

await new Promise((resolve) => setImmediate(resolve));
createServer((_request, response) => response.end(String(process.pid))).listen({ port: Number(process.env['PORT']) });
