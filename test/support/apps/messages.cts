// Says of every request what it read of it: one line in DIARY for the head, one for the body. The path says when it
// answers: `early` before it has read the body, `read` too but it goes on to read it, `amid` at the body's first bytes,
// `late` after the body, `slow` not before SIGUSR2.
import fs = require('node:fs');
import http = require('node:http');
import type net = require('node:net');

const diary = fs.openSync(String(process.env['DIARY']), 'a');
const open = new Set<net.Socket>();
let bytesOfClosed = 0;
let isReleased = false;
const slow: (() => void)[] = [];
process.on('SIGUSR2', () => {
	isReleased = true;
	for (const release of slow.splice(0)) release();
});

const note = (...words: unknown[]): void => void fs.writeSync(diary, `${JSON.stringify(words)}\n`);

/** What has come on public connections in all; the private socket has no port. */
function bytesRead(): number {
	let bytes = bytesOfClosed;
	for (const socket of open) bytes += socket.bytesRead;
	return bytes;
}

function answer(request: http.IncomingMessage, response: http.ServerResponse, status = 200): void {
	if (response.writableEnded) return;
	response.statusCode = status;
	response.setHeader('x-request', `${request.method} ${request.url}`);
	response.end('ok');
}

function serve(request: http.IncomingMessage, response: http.ServerResponse): void {
	if (request.url === '/bytes') {
		// Asked before each handover, and not after SIGUSR2.
		isReleased = false;
		response.end(String(bytesRead()));
		return;
	}
	const [, , , when] = request.url?.split('/') ?? [];
	note('head', process.pid, request.method, request.url);
	if (when === 'early') {
		answer(request, response, 401);
		return;
	}
	if (when === 'read') answer(request, response, 413);
	const body: Buffer[] = [];
	request.on('data', (chunk: Buffer) => {
		body.push(chunk);
		if (when === 'amid') answer(request, response);
	});
	request.on('end', () => {
		note('body', process.pid, request.url, Buffer.concat(body).toString('latin1'));
		if (when === 'slow' && !isReleased) slow.push(() => answer(request, response));
		else answer(request, response);
	});
}

const server = http.createServer(serve);
server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
	if (!request.url?.endsWith('/early')) response.writeContinue();
	serve(request, response);
});
server.on('connection', (socket: net.Socket) => {
	if (socket.localPort === undefined) return;
	open.add(socket);
	socket.once('close', () => {
		open.delete(socket);
		bytesOfClosed += socket.bytesRead;
	});
});
server.keepAliveTimeout = 120_000;
server.listen(Number(process.env['PORT']), '127.0.0.1');
