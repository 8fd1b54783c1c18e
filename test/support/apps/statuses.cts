/**
 * Answers what ?status= says, over HTTP/1, HTTPS and HTTP/2, also an upgrade. `?held` never ends its body, `?late` waits for
 * `?release`, `?busy=` computes for so many ms before it answers, `?body=` takes so many for its body.
 */
import fs = require('node:fs');
import http = require('node:http');
import http2 = require('node:http2');
import https = require('node:https');
import type { Duplex } from 'node:stream';

const { PORTS = '', TLS_KEY: key = '', TLS_CERT: cert = '' } = process.env;
const [plain = 0, secure = 0, second = 0] = PORTS.split(',').map(Number);
const late: (() => void)[] = [];

interface Answer {
	statusCode: number;
	write(text: string): unknown;
	end(text: string): unknown;
}

const answer = ({ url = '' }: { url?: string | undefined }, response: Answer): void => {
	const words = new URL(url, 'http://localhost').searchParams;
	const end = (): void => {
		response.statusCode = Number(words.get('status') ?? 200);
		if (words.has('held')) response.write('answer');
		else if (words.has('body')) {
			response.write('answer');
			setTimeout(() => response.end('answer'), Number(words.get('body')));
		} else response.end('answer');
	};
	const until = Date.now() + Number(words.get('busy') ?? 0);
	while (Date.now() < until);
	if (words.has('late')) late.push(end);
	else end();
	if (words.has('release')) for (const one of late.splice(0)) one();
};

/** As libraries do: what is refused ends at once, in one write or in several. */
const answerUpgrade = ({ url = '' }: http.IncomingMessage, socket: Duplex): void => {
	const words = new URL(url, 'http://localhost').searchParams;
	const status = words.get('status') ?? '101';
	const head = `HTTP/1.1 ${status} Status\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`;
	if (words.has('corked')) socket.cork();
	if (status === '101') socket.write(`${head}\r\n`);
	else if (words.has('ended')) socket.end(`${head}Content-Length: 0\r\n\r\n`);
	else {
		socket.write(Buffer.from(head));
		socket.end('Content-Length: 0\r\n\r\n');
	}
};

http.createServer(answer).on('upgrade', answerUpgrade).listen(plain, '127.0.0.1');
https
	.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, answer)
	.on('upgrade', answerUpgrade)
	.listen(secure, '127.0.0.1');
http2.createServer(answer).listen(second, '127.0.0.1');
