/** No source of connections keeps another one out of a listener, and who has proven who they are keeps their place. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Server, Socket } from 'node:net';
import { beforeEach, describe, test } from 'node:test';
import { ConnectionQuota, type QuotaOptions } from '../../../src/system/connections/connection-quota.js';

let ports = 0;

class StubSocket extends EventEmitter {
	destroyed = false;
	readonly remotePort = ++ports;
	constructor(readonly remoteAddress: string | undefined) {
		super();
	}
	destroy(): void {
		if (this.destroyed) return;
		this.destroyed = true;
		this.emit('close');
	}
}

let server: EventEmitter;
let refused: string[];

function listen(options: Partial<QuotaOptions> = {}): ConnectionQuota {
	server = new EventEmitter();
	refused = [];
	const quota = new ConnectionQuota({
		connectionsMax: 8,
		ofOneMax: 4,
		refused: (_remote, reason) => refused.push(reason),
		...options,
	});
	quota.guard(server as Server);
	return quota;
}

function connect(address: string | undefined, count = 1): StubSocket[] {
	return Array.from({ length: count }, () => {
		const socket = new StubSocket(address);
		server.emit('connection', socket as unknown as Socket);
		return socket;
	});
}
const one = (address: string | undefined): StubSocket => connect(address)[0] as StubSocket;
const open = (sockets: readonly StubSocket[]): number => sockets.filter(({ destroyed }) => !destroyed).length;

describe('a listener with a place for eight, four of one source', () => {
	beforeEach(() => void listen());

	test('counts the addresses of one IPv6 /64 as one, and an IPv4 address as one however it came', () => {
		const hosts = Array.from({ length: 34 }, (_, host) => one(`2001:db8:1:2::${(host + 1).toString(16)}`));
		assert.equal(open(hosts), 4);
		assert.equal(open([...connect('10.0.0.1', 3), ...connect('::ffff:10.0.0.1', 3)]), 4);
	});

	test('lets a newcomer in however many one source has opened, and takes its place from that source', () => {
		const attack = [...connect('10.0.0.1', 30), ...connect('10.0.0.2', 30)];
		const probe = one('10.0.0.3');
		assert.equal(probe.destroyed, false);
		assert.equal(open(attack), 7);
		connect('10.0.0.1', 30);
		connect('10.0.0.4', 30);
		assert.equal(probe.destroyed, false);
	});

	test('lets go what was not used for longest, of sources that have as many', () => {
		const quota = listen({ connectionsMax: 3 });
		const [first, second, third] = [one('10.0.0.1'), one('10.0.0.2'), one('10.0.0.3')];
		quota.use(first);
		assert.equal(one('10.0.0.4').destroyed, false);
		assert.deepEqual([first.destroyed, second.destroyed, third.destroyed], [false, true, false]);
		assert.match(refused.join(), /10\.0\.0\.2 had 1 connections open/);
	});

	test('never lets go what is held, until that is over', () => {
		const quota = listen({ connectionsMax: 3, ofOneMax: 3 });
		let over = false;
		const held = connect('10.0.0.1', 3);
		for (const socket of held) quota.hold(socket, () => over);
		assert.equal(one('10.0.0.2').destroyed, true);
		assert.equal(one('10.0.0.1').destroyed, true);
		assert.equal(open(held), 3);
		over = true;
		assert.equal(one('10.0.0.2').destroyed, false);
		assert.equal(open(held), 2);
	});

	test('keeps places for an address that it knows, and for whoever has proven to be a member', () => {
		const quota = listen({ isReserved: (address) => address === '10.0.0.9' });
		const members = connect('2001:db8:1:2::1', 2);
		for (const socket of members) {
			assert.ok(quota.move(socket, { name: 'member beta', connectionsMax: 2, reserved: true }));
		}
		const known = connect('::ffff:10.0.0.9', 4);
		for (let source = 0; source < 100; source++) connect(`2001:db8:1:${source.toString(16)}::1`, 2);
		assert.equal(open([...members, ...known]), 6);
		assert.equal(quota.size, 6 + 8);
		const third = one('10.0.0.1');
		quota.move(third, { name: 'member beta', connectionsMax: 2, reserved: true });
		assert.deepEqual([open(members), third.destroyed], [1, false]);
	});

	test('forgets what has closed', () => {
		const quota = listen();
		for (const socket of [...connect('10.0.0.1', 9), ...connect(undefined, 9)]) socket.destroy();
		assert.equal(quota.size, 0);
		assert.equal(open(connect('10.0.0.1', 4)), 4);
	});
});
