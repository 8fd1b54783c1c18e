// Listens on a unix socket as many do: what an earlier run left is removed first, and its own at the end.
import fs = require('node:fs');
import http = require('node:http');

const path = String(process.env['SOCKET']);
if (fs.existsSync(path)) fs.unlinkSync(path);
process.on('exit', () => fs.rmSync(path, { force: true }));
http
	.createServer((_request, response) => response.end(String(process.pid)))
	.listen({ path, readableAll: true, writableAll: true });
