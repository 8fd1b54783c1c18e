/** Answers what ?status= says, over HTTP/1, HTTPS and HTTP/2. `?held` never ends its body, `?late` waits for `?release`. */
import fs = require('node:fs');
import http = require('node:http');
import http2 = require('node:http2');
import https = require('node:https');

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
		else response.end('answer');
	};
	if (words.has('late')) late.push(end);
	else end();
	if (words.has('release')) for (const one of late.splice(0)) one();
};

http.createServer(answer).listen(plain, '127.0.0.1');
https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, answer).listen(secure, '127.0.0.1');
http2.createServer(answer).listen(second, '127.0.0.1');
