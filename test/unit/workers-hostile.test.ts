/** A worker runs as another user and may say what it likes on the sockets that the control plane asks. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectWorker } from '../../src/workers/control-client.js';

const status = {
	id: 'web-1',
	pid: 1,
	state: 'live',
	listens: [],
	sockets: 0,
	openRequests: 0,
	served: 0,
	faults: [],
};

test('a worker that says anything but its words on its control socket loses the connection, and nothing else', async (context) => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-hw-'));
	context.after(() => rmSync(folder, { recursive: true, force: true }));
	const said = [
		...['null', '7', '"x"', '[]', '{}', '{', '[[[', '{"seq":1}', '{"seq":1,"ok":true}', '{"seq":1,"ok":false}'],
		...['{"event":"listening"}', '{"event":"nothing"}', '{"event":"report","status":{}}', '{"__proto__":{"seq":1}}'],
		JSON.stringify({ seq: 1, ok: true, status: { ...status, listens: null } }),
		JSON.stringify({ seq: 1, ok: true, status: { ...status, faults: [{}] } }),
		JSON.stringify({ seq: 1, ok: true, status: { ...status, state: 'constructor' } }),
		JSON.stringify({ seq: 1, ok: true, status: { ...status, listens: [{ probe: 7 }] } }),
		JSON.stringify({ event: 'report', report: { rss: 'much' }, status }),
		'x'.repeat(300_000),
	];
	for (const [number, line] of said.entries()) {
		const path = join(folder, `${number}.sock`);
		const server = createServer((socket) => {
			socket.on('error', () => undefined);
			socket.once('data', () => socket.write(`${line}\n`));
		});
		server.listen(path);
		await once(server, 'listening');
		let lost = 0;
		const control = await connectWorker(path, { onClose: () => (lost += 1), onPush: () => assert.fail(line) });
		await assert.rejects(control.status(), { code: 'unreachable' }, line.slice(0, 80));
		assert.equal(lost, 1);
		server.close();
	}
});
