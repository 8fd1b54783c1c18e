import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

enum Path {
	Health = '/healthz',
}

const server = createServer((request: IncomingMessage, response: ServerResponse): void => {
	response.setHeader('content-type', 'application/json');
	response.end(request.url === Path.Health ? '"ok"' : JSON.stringify({ pid: process.pid }));
});
server.listen(Number(process.env['PORT']));
