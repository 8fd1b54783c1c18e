import http = require('node:http');

http
	.createServer((_request, response) => response.end(String(process.pid)))
	.listen({ path: String(process.env['SOCKET']), readableAll: true, writableAll: true });
