import fs = require('node:fs');
import https = require('node:https');

const server = https.createServer(
	{ key: fs.readFileSync(String(process.env['TLS_KEY'])), cert: fs.readFileSync(String(process.env['TLS_CERT'])) },
	(request, response) => {
		setTimeout(
			() => response.end(request.url === '/ip' ? request.socket.remoteAddress : String(process.pid)),
			Number(process.env['DELAY_MS'] ?? 0),
		);
	},
);
server.keepAliveTimeout = 3000;
server.listen(Number(process.env['PORT']), '127.0.0.1');
