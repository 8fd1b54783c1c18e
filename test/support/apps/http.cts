// A plain CommonJS server with the habits that matter for a replacement: slow answers, uploads, downloads, event
// streams, WebSockets. It knows nothing of what runs it.
import crypto = require('node:crypto');
import http = require('node:http');

const delayMs = Number(process.env['DELAY_MS'] ?? 0);
const checkMs = process.env['CHECK_MS'];
const options = checkMs === undefined ? {} : { connectionsCheckingInterval: Number(checkMs) };
const server = http.createServer(options, (request, response) => {
	const url = new URL(request.url ?? '/', 'http://localhost');
	switch (url.pathname) {
		case '/wait':
			setTimeout(() => response.end(String(process.pid)), Number(url.searchParams.get('ms')));
			break;
		case '/upload': {
			let bytes = 0;
			request.on('data', (chunk: Buffer) => {
				bytes += chunk.length;
			});
			request.on('end', () => response.end(String(bytes)));
			break;
		}
		case '/download':
			download(response, Number(url.searchParams.get('chunks')));
			break;
		case '/events':
			response.writeHead(200, { 'content-type': 'text/event-stream' });
			response.write('data: hello\n\n');
			break;
		case '/environment':
			response.end(JSON.stringify({ env: process.env, execArgv: process.execArgv }));
			break;
		case '/address':
			response.end(JSON.stringify({ address: server.address(), remote: request.socket.remoteAddress }));
			break;
		case '/proxied':
			response.writeHead(200, { connection: 'keep-alive', 'content-type': 'text/plain' });
			response.end(String(process.pid));
			break;
		case '/crash':
			throw new Error('asked to crash');
		default:
			setTimeout(() => response.end(String(process.pid)), delayMs);
	}
});

function download(response: http.ServerResponse, chunks: number): void {
	if (chunks === 0) {
		response.end();
		return;
	}
	response.write('x'.repeat(1000));
	setTimeout(() => download(response, chunks - 1), 50);
}

server.on('upgrade', (request, socket) => {
	const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
	const accept = crypto.createHash('sha1').update(key).digest('base64');
	socket.write(
		`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
	);
	// A server's text frame: hi.
	socket.write(Buffer.from([0x81, 0x02, 0x68, 0x69]));
	socket.on('data', () => undefined);
	socket.on('error', () => socket.destroy());
	socket.on('end', () => socket.end());
});

if (process.env['CONNECTIONS_MAX'] !== undefined) server.maxConnections = Number(process.env['CONNECTIONS_MAX']);
if (process.env['HEADERS_TIMEOUT_MS'] !== undefined) server.headersTimeout = Number(process.env['HEADERS_TIMEOUT_MS']);
server.keepAliveTimeout = Number(process.env['KEEP_ALIVE_MS'] ?? 5000);
server.listen(Number(process.env['PORT']), process.env['HOST'] ?? '127.0.0.1');
