/**
 * Answers its process id after ?ms= milliseconds, with everything else as Node has it. With GRACEFUL it says when it is
 * ready and ends as PM2's documentation has it.
 */
import http = require('node:http');

const { PORT: port, GRACEFUL: graceful } = process.env;

const server = http.createServer((request, response) => {
	const ms = Number(/[?&]ms=(\d+)/.exec(request.url ?? '')?.[1] ?? 0);
	const answer = (): void => {
		response.end(String(process.pid));
	};
	if (ms > 0) setTimeout(answer, ms);
	else answer();
});
if (graceful) process.on('SIGINT', () => server.close(() => process.exit(0)));
server.listen(Number(port), '127.0.0.1', () => {
	if (graceful) process.send?.('ready');
});
