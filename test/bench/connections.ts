/** How many answers a second come when some are always on their way, each over a connection of its own or over kept-alive ones. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

const atOnce = 32;
/** What a pool of a load balancer keeps to one host. */
const keptAlive = 16;

export interface Asked {
	answered: number;
	perSecond: number;
}

/** Connections a second, each with one answered request. Rejects when one fails. */
export async function countConnections(url: string, forMs: number): Promise<number> {
	return (await askFor(url, false, forMs)).perSecond;
}

/** Asks for so long, in a process of its own; rejects when a request fails. */
export async function askFor(url: string, keepsAlive: boolean, forMs: number): Promise<Asked> {
	const words = [url, keepsAlive ? 'kept' : 'new', String(forMs)];
	const child = fork(fileURLToPath(import.meta.url), words, { execArgv: [] });
	const ended = once(child, 'exit');
	const [first] = (await Promise.race([once(child, 'message'), ended])) as [unknown];
	await ended;
	if (typeof first === 'object' && first !== null && 'perSecond' in first) return first as Asked;
	throw new Error(`asking ${url} failed`);
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

async function askAnew(url: URL, forMs: number): Promise<Asked> {
	const from = performance.now();
	let answered = 0;
	const askOn = async (): Promise<void> => {
		while (performance.now() - from < forMs) {
			await ask(Number(url.port), url.hostname);
			answered += 1;
		}
	};
	await Promise.all(Array.from({ length: atOnce }, askOn));
	return { answered, perSecond: (answered / (performance.now() - from)) * 1000 };
}

async function askOnKeptAlive(url: URL, forMs: number): Promise<Asked> {
	const from = performance.now();
	const run = autocannon({ url: url.href, connections: keptAlive, duration: forMs / 1_000 });
	const { non2xx, errors, requests } = await run;
	if (non2xx + errors > 0) throw new Error(`${non2xx + errors} of ${requests.total} requests failed`);
	return { answered: requests.total, perSecond: (requests.total / (performance.now() - from)) * 1000 };
}

const [, script, url, kind, forMs] = process.argv;
if (script === fileURLToPath(import.meta.url) && url !== undefined) {
	const run = kind === 'kept' ? askOnKeptAlive : askAnew;
	process.send?.(await run(new URL(url), Number(forMs)));
	process.disconnect();
}
