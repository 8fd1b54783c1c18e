import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { connect, type ConnectionOptions } from 'node:tls';
import type { Links } from '../../src/fleet/links.js';
import type { Cluster } from '../../src/fleet/membership.js';
import type { TlsMaterial } from '../../src/fleet/websocket.js';
import { TestAuthority } from '../support/authority.js';
import { makeLinks, testClusters, until } from '../support/links.js';

describe('links with certificates', () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-tls-'));
	const opened: Links[] = [];
	let authority: TestAuthority;
	let foreign: TestAuthority;

	before(() => {
		authority = new TestAuthority(folder);
		foreign = new TestAuthority(folder, 'foreign');
	});
	after(() => rmSync(folder, { recursive: true, force: true }));
	afterEach(() => {
		for (const links of opened.splice(0)) links.close();
	});

	async function secured(material: Record<string, TlsMaterial>): Promise<Map<string, Cluster>> {
		const clusters = await testClusters(Object.keys(material));
		return new Map(
			[...clusters].map(([name, cluster]) => [
				name,
				{
					...cluster,
					secret: null,
					tls: material[name] ?? null,
					peers: cluster.peers.map((peer) => ({ ...peer, url: peer.url.replace('ws:', 'wss:') })),
				},
			]),
		);
	}
	async function start(name: string, cluster: Cluster | undefined): Promise<Links> {
		assert.ok(cluster);
		const links = makeLinks(name, cluster);
		opened.push(links);
		await links.start();
		return links;
	}

	it('two nodes of one authority are linked over TLS 1.3, each named by its certificate', async () => {
		const clusters = await secured({
			alpha: authority.issue(['alpha']).material,
			beta: authority.issue(['beta']).material,
		});
		const alpha = await start('alpha', clusters.get('alpha'));
		await start('beta', clusters.get('beta'));
		await until(alpha, ['up'], () => alpha.live().length === 1, 'the link');
	});

	it('renewed certificates are taken up without touching the link', async () => {
		const clusters = await secured({
			alpha: authority.issue(['alpha']).material,
			beta: authority.issue(['beta']).material,
		});
		const cluster = clusters.get('alpha');
		assert.ok(cluster);
		const alpha = await start('alpha', cluster);
		await start('beta', clusters.get('beta'));
		await until(alpha, ['up'], () => alpha.live().length === 1, 'the link');
		const before = alpha.live();
		const renewed = authority.issue(['alpha']).material;
		await alpha.reconfigure({ ...cluster, tls: renewed });
		const presented = await certificateOf(alpha.port, { ...authority.issue(['beta']).material });
		assert.ok(renewed.cert.includes(presented.toString('base64').slice(0, 60)));
		assert.deepEqual(alpha.live(), before);
	});

	it('whoever is not exactly one known node of this authority is cut off before a frame is read', async () => {
		const clusters = await secured({
			alpha: authority.issue(['alpha']).material,
			beta: authority.issue(['beta']).material,
		});
		const alpha = await start('alpha', clusters.get('alpha'));
		const ca = authority.issue(['x']).material.ca;
		const strangers: [string, ConnectionOptions][] = [
			['no certificate', { ca }],
			['no member', authority.issue(['delta']).material],
			['two names', authority.issue(['beta', 'gamma']).material],
			['expired', authority.issue(['beta'], -1).material],
			['of another authority', { ...foreign.issue(['beta']).material, ca }],
			['TLS 1.2', { ...authority.issue(['beta']).material, maxVersion: 'TLSv1.2' }],
		];
		for (const [what, material] of strangers) {
			const answer = await talk(alpha.port, material);
			assert.equal(answer, '', `${what}: got ${answer}`);
		}
		const member = await talk(alpha.port, authority.issue(['beta']).material);
		assert.match(member, /101 Switching/);
	});

	it('a member with a proper certificate cannot speak in the name of another', async () => {
		const material = authority.issue(['beta']).material;
		const clusters = await secured({ alpha: authority.issue(['alpha']).material, beta: material, gamma: material });
		const alpha = await start('alpha', clusters.get('alpha'));
		const gamma = await start('gamma', clusters.get('gamma'));
		const reason = (links: Links, node: string) => links.status().find((peer) => peer.node === node)?.reason ?? '';
		while (!/names beta/.test(reason(alpha, 'gamma')) || !/names beta/.test(reason(gamma, 'alpha')))
			await new Promise((resolve) => setTimeout(resolve, 10));
		assert.equal(alpha.live().length + gamma.live().length, 0);
	});
});

/** What a stranger hears when it asks for an upgrade; nothing when it is cut off. */
async function talk(port: number, material: ConnectionOptions): Promise<string> {
	const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...material });
	socket.on('error', () => undefined);
	let heard = '';
	socket.on('data', (data) => {
		heard += data.toString('latin1');
		socket.end();
	});
	socket.write(
		'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
	);
	await new Promise((resolve) => socket.once('close', resolve));
	return heard;
}

async function certificateOf(port: number, material: TlsMaterial): Promise<Buffer> {
	const socket = connect({ host: '127.0.0.1', port, ...material, checkServerIdentity: () => undefined });
	socket.on('error', () => undefined);
	await once(socket, 'secureConnect');
	const { raw } = socket.getPeerCertificate();
	socket.destroy();
	return raw;
}
