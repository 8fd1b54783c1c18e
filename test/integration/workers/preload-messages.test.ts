import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { converse, everyCut, HandoffLine } from '../../support/workers/handoff.js';
import { freePort, Primary, type TestWorker, within } from '../../support/workers/primary.js';

const connectionsAtOnce = 500;
const started: (HandoffLine | Primary)[] = [];
after(() => Promise.all(started.map((one) => one.stop())));

const beginLine = (): HandoffLine => {
	const line = new HandoffLine();
	started.push(line);
	return line;
};

test('a body that comes after the answer to its request is not executed as a request', async () => {
	const head = 'POST /NAME/0/early HTTP/1.1\r\nHost: x\r\nContent-Length: 39\r\n\r\n'.length;
	const requests = [{ framing: 'length', when: 'early' } as const];
	const cuts = Array.from({ length: 10 }, (_, index) => head + index - 5);
	await beginLine().run(cuts.map((cut) => converse(requests, cut)));
});

test('requests cut at every byte around a handover are read as they were sent, and each is answered', async (context) => {
	const line = beginLine();
	const all = everyCut();
	for (let at = 0; at < all.length; at += connectionsAtOnce) await line.run(all.slice(at, at + connectionsAtOnce));
	context.diagnostic(`${line.connections} connections, ${line.handedOver} handed over`);
});

/** A server that keeps connections as it likes, with one used connection to it. */
async function usedConnection(primary: Primary, env: Record<string, string>) {
	const port = await freePort();
	const start = async (): Promise<TestWorker> => {
		const worker = await primary.start('http.cjs', { env: { PORT: String(port), ...env } });
		await worker.listening();
		await worker.control.live();
		return worker;
	};
	const old = await start();
	const socket = net.connect(port, '127.0.0.1').setEncoding('latin1');
	let text = '';
	socket.on('data', (more: string) => {
		text += more;
	});
	const ask = async (): Promise<string> => {
		text = '';
		socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
		while (!/\r\n\r\n\d+$/.test(text))
			await within(`answer after ${JSON.stringify(text)}`, once(socket, 'data'), 5_000);
		return text;
	};
	const first = await ask();
	return { old, sibling: await start(), socket, ask, first };
}

const begin = (): Primary => {
	const primary = new Primary();
	started.push(primary);
	return primary;
};

/** Longer than Node, told so, would wait for a request that never begins, and than it looks for such. */
const patientMs = 1_200;
const env = { HEADERS_TIMEOUT_MS: '300', CHECK_MS: '100' };

test('a connection that was taken over rests as long as its keep-alive time says, whatever headersTimeout says', async () => {
	const { old, sibling, socket, ask, first } = await usedConnection(begin(), { ...env, KEEP_ALIVE_MS: '620000' });
	assert.match(first, /^Keep-Alive: timeout=619\r$/m);
	await old.control.drain({ timeoutMs: 60_000, handOver: true });
	assert.equal((await old.pushed('drained')).handedOver, 1);
	await delay(patientMs);
	assert.match(await ask(), new RegExp(`^HTTP/1.1 200 [^]*\\r\\n${sibling.pid}$`));
	// What begins there and never ends is ended by Node as ever.
	socket.write('GET / HT');
	await within('408', once(socket, 'close'));
});

test('a keepAliveTimeout of 0 means for ever: nothing says otherwise, no handover or drain shortens it', async () => {
	const keepAlive = { ...env, KEEP_ALIVE_MS: '0' };
	const moved = await usedConnection(begin(), keepAlive);
	assert.doesNotMatch(moved.first, /timeout=/);
	await moved.old.control.drain({ timeoutMs: 60_000, handOver: true });
	assert.equal((await moved.old.pushed('drained')).handedOver, 1);
	const kept = await usedConnection(begin(), keepAlive);
	await kept.old.control.drain({ timeoutMs: 60_000, handOver: false });
	// Longer than the 5 s and what is added to them, which Node keeps a connection by default.
	await delay(6_500);
	assert.match(await moved.ask(), new RegExp(`^HTTP/1.1 200 [^]*\\r\\n${moved.sibling.pid}$`));
	assert.match(await kept.ask(), new RegExp(`^HTTP/1.1 200 [^]*Connection: close[^]*\\r\\n${kept.old.pid}$`));
	assert.deepEqual(await kept.old.pushed('drained'), { event: 'drained', cutOff: 0, handedOver: 0 });
});
