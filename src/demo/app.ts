/**
 * The demo's http app: it knows nothing of Rollcall. It answers who it is, so that a roll can be watched with curl.
 */
import { createServer } from 'node:http';

const { PORT: port = '8080', NODE_NAME: node = 'demo' } = process.env;
const startedAt = new Date().toISOString();
let answered = 0;

const server = createServer((request, response) => {
	if (request.url === '/healthz') {
		response.writeHead(204).end();
		return;
	}
	answered += 1;
	response.writeHead(200, { 'content-type': 'application/json' });
	response.end(`${JSON.stringify({ node, pid: process.pid, startedAt, answered })}\n`);
});
server.listen(Number(port), '127.0.0.1');
