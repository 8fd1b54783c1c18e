// Ends itself as the documentation of Node and PM2 say, which loses connections when it is done too early.
import fs = require('node:fs');
import http = require('node:http');

const server = http.createServer((_request, response) => {
	setTimeout(() => response.end(String(process.pid)), Number(process.env['DELAY_MS'] ?? 0));
});
server.keepAliveTimeout = 1000;
const stop = (word: string): void => {
	fs.appendFileSync(String(process.env['DIARY']), `${word}\n`);
	server.close((error) => {
		fs.appendFileSync(String(process.env['DIARY']), `closed ${error?.message ?? 'well'}\n`);
		process.exit(7);
	});
};
process.on('SIGINT', () => stop('SIGINT'));
process.on('message', (message) => {
	if (message === 'shutdown') stop('shutdown');
});
server.listen(Number(process.env['PORT']), '127.0.0.1');
