/** How many connections a second are taken, each with one answered request, when some are always on their way. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

const atOnce = 32;

/** Asks for so long, in a process of its own; rejects when a connection fails. */
export async function countConnections(url: string, forMs: number): Promise<number> {
	const child = fork(fileURLToPath(import.meta.url), [url, String(forMs)], { execArgv: [] });
	const ended = once(child, 'exit');
	const [first] = (await Promise.race([once(child, 'message'), ended])) as [unknown];
	await ended;
	if (typeof first === 'object' && first !== null && 'perSecond' in first) return Number(first.perSecond);
	throw new Error(`counting connections to ${url} failed`);
}

function ask(port: number, host: string): Promise<void> {
	return new Promise((resolve, reject) => {
		const socket = net.connect(port, host);
		let head = '';
		socket.setEncoding('latin1');
		socket.on('data', (part: string) => {
			head += part;
		});
		socket.once('error', reject);
		socket.once('close', () => {
			if (head.startsWith('HTTP/1.1 200 ')) resolve();
			else reject(new Error(`answered ${head.slice(0, 40)}`));
		});
		socket.write(`GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
	});
}

async function count(url: URL, forMs: number): Promise<number> {
	const from = performance.now();
	let answered = 0;
	const askOn = async (): Promise<void> => {
		while (performance.now() - from < forMs) {
			await ask(Number(url.port), url.hostname);
			answered += 1;
		}
	};
	await Promise.all(Array.from({ length: atOnce }, askOn));
	return (answered / (performance.now() - from)) * 1000;
}

const [, script, url, forMs] = process.argv;
if (script === fileURLToPath(import.meta.url) && url !== undefined) {
	process.send?.({ perSecond: await count(new URL(url), Number(forMs)) });
	process.disconnect();
}
