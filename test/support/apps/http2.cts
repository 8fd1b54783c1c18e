// HTTP/2, in the clear or over TLS.
import fs = require('node:fs');
import http2 = require('node:http2');

const answer = (_request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void => {
	setTimeout(() => response.end(String(process.pid)), Number(process.env['DELAY_MS'] ?? 0));
};
const key = process.env['TLS_KEY'];
const server =
	key === undefined
		? http2.createServer(answer)
		: http2.createSecureServer(
				{ key: fs.readFileSync(key), cert: fs.readFileSync(String(process.env['TLS_CERT'])), allowHTTP1: true },
				answer,
			);
server.listen(Number(process.env['PORT']), process.env['HOST'] ?? '127.0.0.1');
