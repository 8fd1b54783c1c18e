import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { startLoad } from '../../support/workers/load.js';
import { within } from '../../support/workers/primary.js';
import { lives, Supervised } from '../../support/workers/supervised.js';

/** Longer than a worker that is ended, not drained, gets to leave. */
const answerMs = 2_000;

test('a refused roll loses nothing that its new workers had begun to answer', async () => {
	const program = (says: string): string =>
		`let asked = 0; require('http').createServer((q, r) => {
			if (q.headers['user-agent'] === 'rollcall-probe') { r.statusCode = ${says}; r.end(); return; }
			asked += 1; setTimeout(() => r.end(String(process.pid)), ${answerMs});
		}).listen(+process.env.PORT);`;
	const node = await Supervised.start(program('200'));
	try {
		await node.full();
		const before = node.pids;
		const load = startLoad({ urls: node.url, ratePerSecond: 40 });
		await load.answered(20);
		// Well until the first clients come, as behind a pool of connections that is too small.
		node.release(program('asked > 0 ? 503 : 200'));
		const result = await node.replace();
		await load.answered(20);
		const report = await load.stop();
		assert.equal(result.outcome, 'refused', result.reason ?? '');
		assert.match(result.reason ?? '', /unhealthy/);
		assert.deepEqual(node.pids.sort(), before.sort());
		assert.deepEqual({ lost: report.lost, failures: report.failures }, { lost: 0, failures: [] });
		assert.equal(result.cutOff, 0);
	} finally {
		await node.end();
	}
});

test('an old worker that is busy when its drain begins answers what it was asked, and leaves then', async () => {
	const busyMs = 5_000;
	const program = `const server = require('http').createServer((q, r) => {
		if (q.url === '/busy') for (const end = Date.now() + ${busyMs}; Date.now() < end;);
		r.end(String(process.pid));
	});
	server.keepAliveTimeout = 120_000;
	server.listen(+process.env.PORT);`;
	const health = { path: null, timeoutMs: 2_000, deadlineMs: 15_000, soakMs: 300, intervalMs: 3_000, failures: 3 };
	const node = await Supervised.start(program, { instances: 1, health });
	try {
		await node.full();
		const [old = 0] = node.pids;
		const ask = async (socket: net.Socket, path: string): Promise<string> => {
			socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
			let text = '';
			while (!/\r\n\r\n\d+$/.test(text)) {
				const [more] = await within(`answer to ${path}`, Promise.race([once(socket, 'data'), once(socket, 'close')]));
				assert.equal(typeof more, 'string', `${path} was cut off`);
				text += more;
			}
			return text.slice(text.lastIndexOf('\n') + 1);
		};
		const sockets = Array.from({ length: 5 }, () => net.connect(node.port, '127.0.0.1').setEncoding('latin1'));
		for (const socket of sockets) socket.on('error', () => undefined);
		for (const socket of sockets) assert.equal(await ask(socket, '/'), String(old));
		let answers: Promise<string[]> | null = null;
		const result = await node.replace({}, (progress) => {
			// The old one drains as soon as the new one has served for a moment.
			if (!/0 of 1 new workers serving/.test(progress)) return;
			answers ??= Promise.all(sockets.map((socket, index) => ask(socket, index === 0 ? '/busy' : '/')));
			answers.catch(() => undefined);
		});
		assert.equal(result.outcome, 'back', result.reason ?? '');
		assert.equal(result.cutOff, 0);
		assert.equal((await (answers ?? Promise.reject(new Error('nothing was asked'))))[0], String(old));
		assert.equal(lives(old), false);
		for (const socket of sockets) socket.destroy();
	} finally {
		await node.end();
	}
});
