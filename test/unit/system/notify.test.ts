import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Datagram } from '../../../src/system/systemd/datagram.js';
import { inheritedListeners } from '../../../src/system/systemd/listeners.js';
import { createNotifier } from '../../../src/system/systemd/notify.js';
import { createNotifyReceiver } from '../../support/system/notify-receiver.js';

test('every word of the notifier reaches a real datagram receiver, one message each, in order', async (t) => {
	const receiver = await createNotifyReceiver();
	t.after(receiver.close);
	const notifier = createNotifier({ NOTIFY_SOCKET: receiver.path });
	notifier.ready();
	notifier.reloading();
	notifier.status('2 of 2\nworkers serve');
	notifier.watchdog();
	notifier.stopping();
	assert.equal(await receiver.next(), 'READY=1');
	assert.match(await receiver.next(), /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
	assert.equal(await receiver.next(), 'STATUS=2 of 2 workers serve');
	assert.equal(await receiver.next(), 'WATCHDOG=1');
	assert.equal(await receiver.next(), 'STOPPING=1');
});

test('a program started through notify-exec keeps its process id and speaks over the inherited descriptor', async (t) => {
	const receiver = await createNotifyReceiver();
	t.after(receiver.close);
	const wrapper = fileURLToPath(new URL('../../../../systemd/notify-exec', import.meta.url));
	const program = fileURLToPath(new URL('../../support/system/notify-child.js', import.meta.url));
	const child = spawn(wrapper, [process.execPath, program], {
		env: { NOTIFY_SOCKET: receiver.path },
		stdio: ['ignore', 'ignore', 'inherit'],
	});
	const [code] = await once(child, 'exit');
	assert.equal(code, 0);
	assert.equal(await receiver.next(), 'READY=1');
	assert.equal(await receiver.next(), `STATUS=pid ${child.pid}`);
	assert.equal(await receiver.next(), 'STOPPING=1');
});

test('without a service manager nothing is opened and nothing said', () => {
	const warnings: string[] = [];
	const notifier = createNotifier(
		{},
		(message) => warnings.push(message),
		() => assert.fail('opened a socket'),
	);
	notifier.ready();
	notifier.watchdog();
	assert.equal(notifier.watchdogIntervalMs, null);
	assert.deepEqual(warnings, []);
});

test('a manager that cannot be reached is warned about once, and the daemon goes on', () => {
	const warnings: string[] = [];
	const notifier = createNotifier(
		{ NOTIFY_SOCKET: '/nowhere' },
		(message) => warnings.push(message),
		() => null,
	);
	notifier.ready();
	notifier.stopping();
	assert.equal(warnings.length, 1);
	assert.match(String(warnings[0]), /koffi/);
});

test('a change of state waits for a manager that is behind, in order; a feeding does not', async () => {
	const received: string[] = [];
	let behind = true;
	let done = (): void => undefined;
	const both = new Promise<void>((resolve) => {
		done = resolve;
	});
	const socket: Datagram = {
		send: (message) => {
			if (behind) return 'full';
			received.push(String(message));
			if (received.length === 2) done();
			return 'sent';
		},
		close: () => undefined,
	};
	const notifier = createNotifier({ NOTIFY_SOCKET: '/there' }, assert.fail, () => socket);
	notifier.ready();
	notifier.watchdog();
	notifier.stopping();
	behind = false;
	const keepAlive = setTimeout(() => undefined, 20_000);
	await both;
	clearTimeout(keepAlive);
	assert.deepEqual(received, ['READY=1', 'STOPPING=1']);
});

test('the watchdog counts only for the process that it names', () => {
	const own = createNotifier({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) });
	assert.equal(own.watchdogLimitMs, 30_000);
	assert.equal(own.watchdogIntervalMs, 10_000);
	const other = createNotifier({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid + 1) });
	assert.equal(other.watchdogIntervalMs, null);
});

test('listening descriptors are taken by name, and only by the process that they were handed to', () => {
	const env = { LISTEN_PID: '77', LISTEN_FDS: '3', LISTEN_FDNAMES: 'rollcall.socket:operations:rollcall.socket' };
	assert.deepEqual(
		[...inheritedListeners(env, 77)],
		[
			['rollcall.socket', [3, 5]],
			['operations', [4]],
		],
	);
	assert.equal(inheritedListeners(env, 78).size, 0);
	assert.equal(inheritedListeners({}, 77).size, 0);
});
