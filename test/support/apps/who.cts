/**
 * Answers who it is, and of which RELEASE, after ?ms= milliseconds; listens on HOST, so that other networks may ask it. While the file HOLD_FILE
 * is there a new process does not become healthy: a roll lasts as long as the test wants. BIRTHS_FILE is given a line for each
 * process that starts.
 */
import fs = require('node:fs');
import http = require('node:http');

const {
	PORT: port,
	HOST: host = '127.0.0.1',
	NODE_NAME: node = '',
	RELEASE: release = '',
	HOLD_FILE: holdFile = '',
	BIRTHS_FILE: birthsFile = '',
} = process.env;
if (birthsFile) fs.appendFileSync(birthsFile, `${process.pid} ${Date.now()}\n`);
let held = holdFile !== '';

const server = http.createServer((request, response) => {
	const url = new URL(request.url ?? '/', 'http://localhost');
	const answer = (): void => {
		if (url.pathname === '/healthz') {
			held &&= fs.existsSync(holdFile);
			response.writeHead(held ? 503 : 204).end();
			return;
		}
		response.writeHead(200, { 'content-type': 'application/json' });
		response.end(JSON.stringify({ node, pid: process.pid, release }));
	};
	const ms = Number(url.searchParams.get('ms') ?? 0);
	if (ms > 0) setTimeout(answer, ms);
	else answer();
});
// A client that asks seldom must not meet the end of an idle connection.
server.keepAliveTimeout = 120_000;
server.listen(Number(port), host);
