// A program in the place of a worker host: speaks as PM2's daemon does, and says what it is given. Stands alone, so that a
// hostile app can be made of it.
import fs = require('node:fs');
import net = require('node:net');
import path = require('node:path');

/** A call of PM2's client: `getMonitorData`, `getReport`, … */
interface Call {
	method: string;
	argument: unknown;
}

interface FakeHost {
	/** All that it was asked, oldest first. */
	readonly calls: Call[];
	/** Says something to whoever listens to PM2's bus. */
	tell(event: string, data: unknown): void;
	close(): void;
}

/** As PM2 frames what it says: each word with its length, marked as JSON or as text. */
function framed(...words: string[]): Buffer {
	const parts = words.flatMap((word) => {
		const length = Buffer.alloc(4);
		length.writeUInt32BE(Buffer.byteLength(word));
		return [length, Buffer.from(word)];
	});
	return Buffer.concat([Buffer.from([(1 << 4) | words.length]), ...parts]);
}

/** The words of each whole message, and what is left over. */
function unframed(bytes: Buffer): { messages: string[][]; rest: Buffer } {
	const messages: string[][] = [];
	let rest = bytes;
	for (;;) {
		const words: string[] = [];
		let at = 1;
		for (let left = (rest[0] ?? 0) & 0x0f; left > 0 && at + 4 <= rest.length; left -= 1) {
			const end = at + 4 + rest.readUInt32BE(at);
			if (end > rest.length) break;
			words.push(rest.toString('utf8', at + 4, end));
			at = end;
		}
		if (rest.length === 0 || words.length < ((rest[0] ?? 0) & 0x0f)) return { messages, rest };
		messages.push(words);
		rest = rest.subarray(at);
	}
}

/** Resolves when both sockets in the home are its own, whoever had them. */
async function fakeHost(home: string, answer: (call: Call) => unknown): Promise<FakeHost> {
	const calls: Call[] = [];
	const followers = new Set<net.Socket>();
	const rpc = net.createServer((socket) => {
		let rest: Buffer = Buffer.alloc(0);
		socket.on('error', () => undefined);
		socket.on('data', (data: Buffer) => {
			const { messages, rest: left } = unframed(Buffer.concat([rest, data]));
			rest = left;
			for (const [call = '', id = ''] of messages) {
				const { method, args } = JSON.parse(call.slice(2)) as { method: string; args: unknown[] };
				calls.push({ method, argument: args[0] });
				const said = method === 'getVersion' ? '7.0.4' : answer({ method, argument: args[0] });
				socket.write(framed(`j:${JSON.stringify({ args: [said ?? {}] })}`, id));
			}
		});
	});
	const pub = net.createServer((socket) => {
		followers.add(socket);
		socket.on('error', () => undefined).once('close', () => followers.delete(socket));
	});
	for (const [server, name] of [
		[rpc, 'rpc.sock'],
		[pub, 'pub.sock'],
	] as const) {
		const place = path.join(home, name);
		// The preload keeps an app from removing a socket on which somebody listens.
		if (fs.existsSync(place)) fs.renameSync(place, `${place}.before`);
		await new Promise<void>((resolve) => server.listen(place, resolve));
		fs.chmodSync(place, 0o770);
	}
	return {
		calls,
		tell: (event, data) => {
			for (const socket of followers) socket.write(framed(`s:${event}`, `j:${JSON.stringify(data)}`));
		},
		close: () => {
			for (const server of [rpc, pub]) server.close();
			for (const socket of followers) socket.destroy();
		},
	};
}

export = fakeHost;
