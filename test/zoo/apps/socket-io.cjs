const { createServer } = require('node:http');
const { Server } = require('socket.io');

const http = createServer((request, response) => {
	response.setHeader('content-type', 'application/json');
	response.end(JSON.stringify({ pid: process.pid }));
});
// Long polling needs every request of a client at one process; with several workers only websocket is offered.
const io = new Server(http, { transports: ['websocket'] });
io.on('connection', (socket) => socket.on('ask', (acknowledge) => acknowledge(process.pid)));
http.listen(process.env.PORT);
