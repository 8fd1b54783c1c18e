import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { socketAnswers, startWatchdog, storageAnswers, type VitalSign } from '../../../src/system/systemd/watchdog.js';

type Events = { fed: []; trouble: [string, string]; recovery: [string] };

function watch(vitalSigns: VitalSign[]): { events: EventEmitter<Events>; stop: () => void } {
	const events = new EventEmitter<Events>();
	const watchdog = startWatchdog({
		intervalMs: 40,
		vitalSigns,
		feed: () => events.emit('fed'),
		onTrouble: (name, reason) => events.emit('trouble', name, reason),
		onRecovery: (name) => events.emit('recovery', name),
	});
	return { events, stop: watchdog.stop };
}

const within = { signal: AbortSignal.timeout(60_000) };

test('fed while every sign is well; not fed while one fails, said once, and fed again after it recovered', async () => {
	let ill = false;
	let failures = 0;
	const failedThrice = new EventEmitter<{ thrice: [] }>();
	const sign: VitalSign = {
		name: 'heart',
		check: async () => {
			if (!ill) return;
			failures += 1;
			if (failures === 3) failedThrice.emit('thrice');
			throw new Error('ill on purpose');
		},
	};
	const { events, stop } = watch([sign, { name: 'well', check: async () => undefined }]);
	const troubles: string[] = [];
	events.on('trouble', (name, reason) => troubles.push(`${name}: ${reason}`));
	await once(events, 'fed', within);
	const thrice = once(failedThrice, 'thrice', within);
	let fed = 0;
	ill = true;
	events.on('fed', () => {
		if (ill && failures > 0) fed += 1;
	});
	await thrice;
	assert.equal(fed, 0);
	assert.deepEqual(troubles, ['heart: ill on purpose']);
	ill = false;
	await Promise.all([once(events, 'recovery', within), once(events, 'fed', within)]);
	stop();
});

test('a sign that hangs counts as failed once its time is over', async () => {
	const { events, stop } = watch([{ name: 'stuck', check: () => new Promise(() => undefined) }]);
	events.on('fed', () => assert.fail('fed'));
	const [name, reason] = (await once(events, 'trouble', within)) as [string, string];
	assert.equal(name, 'stuck');
	assert.match(reason, /no answer within 40 ms/);
	stop();
});

test('the admin socket is well when /livez answers 200, and not when it says otherwise or is gone', async () => {
	const folder = await mkdtemp(join(tmpdir(), 'rc-wd-'));
	const path = join(folder, 's');
	let status = 200;
	const server = createServer((_request, response) => response.writeHead(status).end());
	server.listen(path);
	await once(server, 'listening');
	const { signal } = new AbortController();
	await socketAnswers(path).check(signal);
	status = 500;
	await assert.rejects(socketAnswers(path).check(signal), /answered 500/);
	server.close();
	await once(server, 'close');
	await assert.rejects(socketAnswers(path).check(signal), /ENOENT|ECONNREFUSED/);
	await storageAnswers(folder).check(signal);
	await rm(folder, { recursive: true });
	await assert.rejects(storageAnswers(folder).check(signal), /ENOENT/);
});
