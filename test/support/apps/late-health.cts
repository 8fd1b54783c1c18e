// Healthy only some time after it listens.
import http = require('node:http');

let healthy = false;
const server = http.createServer((request, response) => {
	response.statusCode = request.url === '/healthz' && !healthy ? 503 : 200;
	response.end(String(process.pid));
});
server.listen(Number(process.env['PORT']), '127.0.0.1', () => {
	setTimeout(() => {
		healthy = true;
	}, 300);
});
