// Closes its server and listens again, on word, as apps do that reload their configuration.
import http = require('node:http');

const port = Number(process.env['PORT']);
const server = http.createServer((request, response) => {
	response.end(String(process.pid));
	if (request.url !== '/again') return;
	server.close(() => server.listen(port, '127.0.0.1'));
	server.closeAllConnections();
});
server.listen(port, '127.0.0.1');
