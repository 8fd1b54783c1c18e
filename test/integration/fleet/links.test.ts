import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import type { Links } from '../../../src/fleet/links/links.js';
import { messageBytesMax } from '../../../src/fleet/links/websocket.js';
import { makeLinks, testClusters, until } from '../../support/fleet/links.js';
import { waitFor } from '../../support/fleet/nodes.js';

describe('links between nodes', () => {
	const opened: Links[] = [];
	const sockets: WebSocket[] = [];
	afterEach(() => {
		for (const links of opened.splice(0)) links.close();
		for (const socket of sockets.splice(0)) socket.terminate();
	});

	async function start(names: readonly string[], silenceMs?: number): Promise<Map<string, Links>> {
		const clusters = await testClusters(names);
		const all = new Map<string, Links>();
		for (const [name, cluster] of clusters) all.set(name, track(makeLinks(name, cluster, 1, silenceMs)));
		await Promise.all([...all.values()].map((links) => links.start()));
		return all;
	}
	function track(links: Links): Links {
		opened.push(links);
		return links;
	}
	const of = (all: Map<string, Links>, name: string): Links => {
		const links = all.get(name);
		assert.ok(links);
		return links;
	};
	const allUp = async (all: Map<string, Links>): Promise<void> => {
		for (const links of all.values())
			await until(links, ['up', 'down'], () => links.live().length === all.size - 1, 'every link is up');
	};
	function stranger(port: number, headers: Record<string, string> = {}): WebSocket {
		const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false, headers });
		sockets.push(socket);
		socket.on('error', () => undefined);
		return socket;
	}

	it('each pair comes to one link, the same on both ends, although both dial', async () => {
		const all = await start(['alpha', 'beta', 'gamma', 'delta']);
		await allUp(all);
		for (const [name, links] of all)
			for (const { node, id } of links.live())
				assert.equal(
					of(all, node)
						.live()
						.find((link) => link.node === name)?.id,
					id,
				);
		const ids = new Set([...all.values()].flatMap((links) => links.live().map((link) => link.id)));
		assert.equal(ids.size, 6);
	});

	it('frames arrive whole and in order, and both ends know the round trip', async () => {
		const all = await start(['alpha', 'beta'], 300);
		await allUp(all);
		const got: string[] = [];
		const beta = of(all, 'beta');
		beta.on('frame', ({ node, text }) => got.push(`${node} ${text}`));
		for (let n = 0; n < 100; n++) assert.equal(of(all, 'alpha').send('beta', String(n)), true);
		await until(beta, ['frame'], () => got.length === 100, '100 frames');
		assert.deepEqual(
			got,
			Array.from({ length: 100 }, (_, n) => `alpha ${n}`),
		);
		assert.equal(of(all, 'alpha').send('nobody', 'x'), false);
		await waitFor('a round trip to be measured', () => of(all, 'beta').status()[0]?.rttMs !== null);
		assert.ok((of(all, 'alpha').status()[0]?.rttMs ?? 0) > 0);
	});

	it('a node that starts again gets a new link at once', async () => {
		const clusters = await testClusters(['alpha', 'beta']);
		const [alphaCluster, betaCluster] = [...clusters.values()];
		assert.ok(alphaCluster && betaCluster);
		const alpha = track(makeLinks('alpha', alphaCluster));
		const beta = track(makeLinks('beta', betaCluster));
		await Promise.all([alpha.start(), beta.start()]);
		await until(alpha, ['up'], () => alpha.live().length === 1, 'the first link');
		const first = alpha.live()[0]?.id;
		const down = once(alpha, 'down');
		beta.close();
		await down;
		const again = track(makeLinks('beta', betaCluster, 2));
		await again.start();
		await until(alpha, ['up'], () => alpha.live().length === 1, 'the second link');
		assert.notEqual(alpha.live()[0]?.id, first);
		assert.equal(alpha.status()[0]?.hello?.boot, 2);
		assert.equal(alpha.status()[0]?.reconnects, 1);
	});

	it('redialing closes every link and makes each anew, with another id', async () => {
		const all = await start(['alpha', 'beta', 'gamma']);
		await allUp(all);
		const beta = of(all, 'beta');
		const before = beta.live();
		beta.redialAll('clustering');
		const renewed = () =>
			beta.live().length === 2 && beta.live().every((link) => !before.some((old) => old.id === link.id));
		await until(beta, ['up', 'down'], renewed, 'both links are new');
		assert.equal(of(all, 'alpha').live().length, 2);
	});

	it('a wrong secret is refused, and the reason can be read on the dialing side', async () => {
		const clusters = await testClusters(['alpha', 'beta']);
		const [alphaCluster, betaCluster] = [...clusters.values()];
		assert.ok(alphaCluster && betaCluster);
		const alpha = track(makeLinks('alpha', alphaCluster));
		const beta = track(makeLinks('beta', { ...betaCluster, secret: Buffer.from('some other secret') }));
		await Promise.all([alpha.start(), beta.start()]);
		await waitFor('the secret to be refused', () => alpha.status()[0]?.reason?.includes('shared secret') === true);
		assert.deepEqual([alpha.live(), beta.live()], [[], []]);
	});

	it('a name that is no member, and an address of another node, are refused with names', async () => {
		const clusters = await testClusters(['alpha', 'beta', 'gamma']);
		const [alphaCluster, betaCluster, gammaCluster] = [...clusters.values()];
		assert.ok(alphaCluster && betaCluster && gammaCluster);
		const betaUrl = alphaCluster.peers[0]?.url ?? '';
		const alpha = track(makeLinks('alpha', { ...alphaCluster, peers: [{ name: 'gamma', url: betaUrl }] }));
		const beta = track(makeLinks('beta', betaCluster));
		const gamma = track(makeLinks('gamma', { ...gammaCluster, peers: [] }));
		await Promise.all([alpha.start(), beta.start(), gamma.start()]);
		const reason = (links: Links, node: string) => links.status().find((peer) => peer.node === node)?.reason ?? '';
		const words: [Links, string, RegExp][] = [
			[alpha, 'gamma', /this is beta, not gamma/],
			[beta, 'alpha', /beta is no member in the configuration of alpha/],
			[beta, 'gamma', /beta is no member in the configuration of gamma/],
		];
		for (const [links, node, pattern] of words)
			await waitFor(`${node} to be refused`, () => pattern.test(reason(links, node)));
		assert.equal(alpha.live().length + beta.live().length + gamma.live().length, 0);
	});

	it('a stranger that says nothing right is cut off: browsers, noise, binary, a huge frame, its own proof sent back', async () => {
		const all = await start(['alpha', 'beta']);
		await allUp(all);
		const { port } = of(all, 'alpha');
		const browser = stranger(port, { origin: 'http://localhost' });
		const [, response] = (await once(browser, 'unexpected-response')) as [unknown, { statusCode: number }];
		assert.equal(response.statusCode, 403);
		for (const words of ['{', '[]', '{"type":"proof"}', Buffer.from('bytes'), 'x'.repeat(messageBytesMax + 1)]) {
			const socket = stranger(port);
			await once(socket, 'open');
			socket.send(words);
			await once(socket, 'close');
		}
		const hello = {
			type: 'hello',
			protocol: { min: 1, max: 1 },
			node: 'beta',
			to: 'alpha',
			zone: null,
			boot: 1,
			instance: 'i',
			process: 'p',
			version: '0',
			memberHash: 'abc',
			members: [],
			nonce: '0'.repeat(64),
		};
		const mirror = stranger(port);
		await once(mirror, 'open');
		mirror.send(JSON.stringify(hello));
		await once(mirror, 'message');
		mirror.send(JSON.stringify({ type: 'proof', proof: '0'.repeat(64) }));
		const [, reason] = (await once(mirror, 'close')) as [number, Buffer];
		assert.match(reason.toString(), /shared secret/);
		assert.equal(of(all, 'alpha').live().length, 1);
	});

	it('a peer that falls silent is taken for dead although its connection stays open', async () => {
		const clusters = await testClusters(['alpha', 'beta']);
		const [alphaCluster, betaCluster] = [...clusters.values()];
		assert.ok(alphaCluster && betaCluster);
		const wire = await freezableWire(betaCluster.listen.port);
		const alpha = track(
			makeLinks('alpha', { ...alphaCluster, peers: [{ name: 'beta', url: `ws://127.0.0.1:${wire.port}` }] }, 1, 400),
		);
		const beta = track(makeLinks('beta', { ...betaCluster, peers: [{ name: 'alpha', url: 'ws://127.0.0.1:1' }] }));
		await Promise.all([alpha.start(), beta.start()]);
		await until(alpha, ['up'], () => alpha.live().length === 1, 'the link');
		const down = once(alpha, 'down');
		wire.freeze();
		const [{ reason }] = (await down) as [{ reason: string }];
		assert.match(reason, /nothing was heard/);
		wire.close();
	});

	it('a peer that reads too slowly is cut off before its backlog fills the memory', async () => {
		const clusters = await testClusters(['alpha', 'beta']);
		const [alphaCluster, betaCluster] = [...clusters.values()];
		assert.ok(alphaCluster && betaCluster);
		const wire = await freezableWire(betaCluster.listen.port);
		const alpha = track(
			makeLinks('alpha', { ...alphaCluster, peers: [{ name: 'beta', url: `ws://127.0.0.1:${wire.port}` }] }, 1, 60_000),
		);
		const beta = track(makeLinks('beta', { ...betaCluster, peers: [{ name: 'alpha', url: 'ws://127.0.0.1:1' }] }));
		await Promise.all([alpha.start(), beta.start()]);
		await until(alpha, ['up'], () => alpha.live().length === 1, 'the link');
		const down = once(alpha, 'down');
		wire.freeze();
		const frame = 'x'.repeat(messageBytesMax);
		let sent = 0;
		while (alpha.live().length === 1 && sent < 20) {
			alpha.send('beta', frame);
			sent += 1;
			await new Promise((resolve) => setImmediate(resolve));
		}
		const [{ reason }] = (await down) as [{ reason: string }];
		assert.match(reason, /reads too slowly/);
		wire.close();
	});

	it('a port that is taken is an error that names address and key', async () => {
		const clusters = await testClusters(['alpha', 'beta']);
		const cluster = clusters.get('alpha');
		assert.ok(cluster);
		const holder = createServer().listen({ host: '127.0.0.1', port: cluster.listen.port });
		await once(holder, 'listening');
		const links = track(makeLinks('alpha', cluster));
		await assert.rejects(links.start(), {
			code: 'address_in_use',
			message: new RegExp(`127.0.0.1:${cluster.listen.port} of cluster.listen is taken`),
		});
		holder.close();
	});

	it('another configuration adds, removes and moves peers and touches no other link', async () => {
		const names = ['alpha', 'beta', 'gamma'];
		const clusters = await testClusters([...names, 'delta']);
		const without = (name: string, gone: string) => {
			const cluster = clusters.get(name);
			assert.ok(cluster);
			return { ...cluster, peers: cluster.peers.filter((peer) => peer.name !== gone) };
		};
		const all = new Map(names.map((name) => [name, track(makeLinks(name, without(name, 'delta')))]));
		await Promise.all([...all.values()].map((links) => links.start()));
		await allUp(all);
		const kept = of(all, 'alpha')
			.live()
			.find((link) => link.node === 'beta')?.id;
		const delta = track(makeLinks('delta', without('delta', 'gamma')));
		await delta.start();
		for (const name of ['alpha', 'beta']) await of(all, name).reconfigure(without(name, 'gamma'));
		await until(delta, ['up', 'down'], () => delta.live().length === 2, 'delta is linked');
		const alpha = of(all, 'alpha');
		assert.equal(alpha.live().find((link) => link.node === 'beta')?.id, kept);
		assert.deepEqual(
			alpha
				.live()
				.map((link) => link.node)
				.sort(),
			['beta', 'delta'],
		);
		const gamma = of(all, 'gamma');
		await until(gamma, ['down'], () => gamma.live().length === 0, 'gamma is left alone');
	});
});

/** A TCP connection that can be made to carry nothing while both ends believe that it stands. */
async function freezableWire(target: number): Promise<{ port: number; freeze(): void; close(): void }> {
	const pairs: Socket[] = [];
	const server = createServer((near) => {
		const far = connect({ host: '127.0.0.1', port: target });
		for (const socket of [near, far]) socket.on('error', () => undefined);
		near.pipe(far);
		far.pipe(near);
		pairs.push(near, far);
	}).listen({ host: '127.0.0.1', port: 0 });
	await once(server, 'listening');
	return {
		port: (server.address() as AddressInfo).port,
		freeze: () => {
			server.close();
			for (const socket of pairs) socket.unpipe().pause();
		},
		close: () => {
			for (const socket of pairs) socket.destroy();
		},
	};
}
