/** Answers who it is after ?ms= milliseconds; listens on HOST, so that other networks may ask it. */
import http = require('node:http');

const { PORT: port, HOST: host = '127.0.0.1', NODE_NAME: node = '' } = process.env;

const server = http.createServer((request, response) => {
	const url = new URL(request.url ?? '/', 'http://localhost');
	const answer = (): void => {
		response.writeHead(url.pathname === '/healthz' ? 204 : 200, { 'content-type': 'application/json' });
		response.end(url.pathname === '/healthz' ? undefined : JSON.stringify({ node, pid: process.pid }));
	};
	const ms = Number(url.searchParams.get('ms') ?? 0);
	if (ms > 0) setTimeout(answer, ms);
	else answer();
});
// A client that asks seldom must not meet the end of an idle connection.
server.keepAliveTimeout = 120_000;
server.listen(Number(port), host);
