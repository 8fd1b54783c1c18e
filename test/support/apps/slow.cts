/** Sends its headers at once and ends the answer after ?ms= milliseconds; says on stdout that it listens. */
import http = require('node:http');

const server = http.createServer((request, response) => {
	const ms = Number(new URL(request.url ?? '/', 'http://localhost').searchParams.get('ms') ?? 0);
	response.writeHead(200).flushHeaders();
	setTimeout(() => response.end('done'), ms);
});
server.listen(Number(process.env['PORT']), () => process.stdout.write(`listening, process ${process.pid}\n`));
