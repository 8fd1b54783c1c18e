import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { connect, type ConnectionOptions, createServer, type TlsOptions, type TLSSocket } from 'node:tls';
import type { TlsMaterial } from '../../../src/config/checks/certificates.js';
import type { Links } from '../../../src/fleet/links/links.js';
import type { Cluster } from '../../../src/fleet/links/membership.js';
import { connectionsOfMemberMax, listen } from '../../../src/fleet/links/websocket.js';
import { TestAuthority } from '../../support/fleet/authority.js';
import { makeLinks, testClusters, until } from '../../support/fleet/links.js';
import { waitFor } from '../../support/fleet/nodes.js';

describe('links with certificates', () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-tls-'));
	const opened: { close(): unknown }[] = [];
	let authority: TestAuthority;
	let foreign: TestAuthority;
	let alphas: TlsMaterial;
	let betas: TlsMaterial;
	/** What somebody may hold who shall not pass for beta. */
	const strangers: Record<string, TlsMaterial> = {};

	before(async () => {
		[authority, foreign] = await Promise.all([TestAuthority.make(folder), TestAuthority.make(folder)]);
		alphas = (await authority.issue('alpha')).material;
		betas = (await authority.issue('beta')).material;
		const { ca } = alphas;
		strangers['of another node'] = (await authority.issue('delta')).material;
		strangers['expired'] = (await authority.issue('beta', -1)).material;
		strangers['not yet valid'] = (await authority.issueFrom('beta', 3, 9)).material;
		strangers['with two names'] = authority.odd('beta', 'subjectAltName=DNS:beta,DNS:gamma').material;
		strangers['with a name and an address'] = authority.odd('beta', 'subjectAltName=DNS:beta,IP:127.0.0.1').material;
		strangers['with another common name'] = authority.odd('delta', 'subjectAltName=DNS:beta').material;
		strangers['self-signed'] = { ...authority.selfSigned('beta').material, ca };
		strangers['of another authority'] = { ...(await foreign.issue('beta')).material, ca };
	});
	after(() => rmSync(folder, { recursive: true, force: true }));
	afterEach(() => {
		for (const one of opened.splice(0)) one.close();
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
	const reasonOf = (links: Links, node: string): string =>
		links.status().find((peer) => peer.node === node)?.reason ?? '';

	it('two nodes of one authority are linked over TLS 1.3, each named by its certificate', async () => {
		const clusters = await secured({ alpha: alphas, beta: betas });
		const alpha = await start('alpha', clusters.get('alpha'));
		await start('beta', clusters.get('beta'));
		await until(alpha, ['up'], () => alpha.live().length === 1, 'the link');
		const seen = await presented(alpha.port, betas);
		assert.deepEqual([seen.protocol, seen.pem.subject], ['TLSv1.3', 'CN=alpha']);
	});

	it('a session is never resumed: who comes again shows its certificate again', async () => {
		const clusters = await secured({ alpha: alphas, beta: betas });
		const alpha = await start('alpha', clusters.get('alpha'));
		const first = connect({ host: '127.0.0.1', port: alpha.port, ...betas, checkServerIdentity: () => undefined });
		first.on('error', () => undefined);
		const sessions: Buffer[] = [];
		first.on('session', (session) => sessions.push(session));
		first.write('GET / HTTP/1.1\r\nHost: alpha\r\n\r\n');
		first.resume();
		await once(first, 'close');
		const again = { ...betas, ...(sessions[0] ? { session: sessions[0] } : {}) };
		assert.equal((await presented(alpha.port, again)).reused, false);
	});

	it('renewed certificates count for new connections both ways, and the link goes on', async () => {
		const clusters = await secured({ alpha: alphas, beta: betas });
		const cluster = clusters.get('alpha');
		assert.ok(cluster);
		const alpha = await start('alpha', cluster);
		const beta = await start('beta', clusters.get('beta'));
		await until(alpha, ['up'], () => alpha.live().length === 1, 'the link');
		const before = alpha.live();
		const renewed = (await authority.issue('alpha')).material;
		await alpha.reconfigure({ ...cluster, tls: renewed });
		assert.equal((await presented(alpha.port, betas)).pem.fingerprint256, fingerprintOf(renewed));
		assert.deepEqual(alpha.live(), before);
		// What the listener asked of strangers before, it still asks.
		for (const [what, material] of Object.entries({ ...strangers, old: { ...betas, maxVersion: 'TLSv1.2' as const } }))
			assertTurnedAway(await talk(alpha.port, material), what);
		alpha.redialAll('to see that both ends still know each other');
		const isNew = () => alpha.live().some(({ id }) => id !== before[0]?.id);
		await until(alpha, ['up', 'down'], isNew, 'a new link');
		await until(beta, ['up', 'down'], () => beta.live().length === 1, 'the same on the other end');
	});

	it('material that does not fit together is refused, and the old one stays in use', async () => {
		const clusters = await secured({ alpha: alphas, beta: betas });
		const cluster = clusters.get('alpha');
		assert.ok(cluster);
		const alpha = await start('alpha', cluster);
		await assert.rejects(alpha.reconfigure({ ...cluster, tls: { ...alphas, key: betas.key } }));
		assert.equal((await presented(alpha.port, betas)).pem.fingerprint256, fingerprintOf(alphas));
	});

	it('whoever connects and is not exactly one known node of this authority is cut off before a frame is read', async () => {
		const clusters = await secured({ alpha: alphas, beta: betas });
		const alpha = await start('alpha', clusters.get('alpha'));
		const attempts: Record<string, ConnectionOptions> = {
			...strangers,
			'none at all': { ca: alphas.ca },
			'TLS 1.2': { ...betas, maxVersion: 'TLSv1.2' },
		};
		for (const [what, material] of Object.entries(attempts)) {
			assertTurnedAway(await talk(alpha.port, material), what);
		}
		assert.match(await talk(alpha.port, betas), /101 Switching/);
	});

	it('why a certificate was turned away is told', async () => {
		const told: { remote: string; reason: string; claims: string | null }[] = [];
		const listener = await listen({
			host: '127.0.0.1',
			port: 0,
			self: 'alpha',
			tls: alphas,
			ofOneMax: 8,
			isKnown: () => false,
			isMember: (name) => name === 'beta',
			accepted: (channel) => channel.close('a test'),
			refused: (remote, reason, claims) => told.push({ remote, reason, claims }),
		});
		opened.push(listener);
		const expected: Record<string, RegExp> = {
			expired: /certificate of beta has expired, on \d{4}-\d\d-\d\d; the clock of alpha says \d{4}-.* UTC$/,
			'not yet valid': /certificate of beta is not valid yet, but from \d{4}-.* UTC on; the clock of alpha says/,
			'self-signed': /certificate of beta is of another authority than those in cluster\.tls\.ca of alpha/,
			'of another authority': /certificate of beta is of another authority than those in cluster\.tls\.ca of alpha/,
			'of another node': /the certificate names delta, which is no member in the configuration of alpha/,
			'with two names': /the certificate names not exactly one node, which is no member/,
		};
		for (const [what, reason] of Object.entries(expected)) {
			const answer = await talk(listener.port, strangers[what] ?? {});
			await waitFor(`a reason for one ${what}`, () => told.length > 0);
			const { remote, ...refusal } = told.pop() ?? {
				remote: '',
				reason: '',
				claims: null,
			};
			assert.match(refusal.reason, reason, what);
			assert.match(remote, /^127\.0\.0\.1:[1-9]\d+$/, what);
			const claims = what === 'of another node' ? 'delta' : what === 'with two names' ? null : 'beta';
			assert.equal(refusal.claims, claims, what);
			assert.ok(answer.includes(refusal.reason), `${what} hears the same: ${answer}`);
		}
	});

	it('both ends say why they are not linked, and neither says it any more once they are', async () => {
		const { ca } = alphas;
		const faults: Record<string, [TlsMaterial, RegExp, RegExp]> = {
			expired: [
				strangers['expired'] ?? betas,
				/^the certificate of beta, or of its authority, has expired; the clock of alpha says .*\(wss:\/\/127/,
				/^alpha refuses this node \(wss:.*\): the certificate of beta has expired, on /,
			],
			'not yet valid': [
				strangers['not yet valid'] ?? betas,
				/of beta is not valid yet/,
				/alpha refuses.* valid yet, but from/,
			],
			'of another authority': [
				strangers['of another authority'] ?? betas,
				/of beta is of another authority than those in cluster\.tls\.ca of alpha/,
				/^alpha refuses this node .*: the certificate of beta is of another authority/,
			],
			'that trusts another authority': [
				{ ...betas, ca: (await foreign.issue('beta')).material.ca },
				/beta refuses this node .*: the certificate of alpha is of another authority/,
				/of alpha is of another authority than those in cluster\.tls\.ca of beta/,
			],
		};
		for (const [what, [material, here, there]] of Object.entries(faults)) {
			const clusters = await secured({ alpha: alphas, beta: material });
			const alpha = await start('alpha', clusters.get('alpha'));
			const beta = await start('beta', clusters.get('beta'));
			const both = () => `${reasonOf(alpha, 'beta')} | ${reasonOf(beta, 'alpha')}`;
			const told = () => here.test(reasonOf(alpha, 'beta')) && there.test(reasonOf(beta, 'alpha'));
			await waitFor(what, told, both);
			const cluster = clusters.get('beta');
			assert.ok(cluster);
			await beta.reconfigure({ ...cluster, tls: { ...betas, ca } });
			await until(alpha, ['up'], () => alpha.live().length === 1, `the link once it was ${what}`);
			assert.equal(reasonOf(alpha, 'beta'), '');
			alpha.close();
			beta.close();
		}
	});

	it('a member that is refused by a node of an earlier build, which hangs up, hears that it was its certificate', async () => {
		const server = createServer({ ...betas, requestCert: true, rejectUnauthorized: false }, (socket) =>
			socket.destroy(),
		);
		opened.push(server);
		server.listen(0, '127.0.0.1');
		await once(server, 'listening');
		const cluster = (await secured({ alpha: alphas, beta: betas })).get('alpha');
		assert.ok(cluster);
		const url = `wss://127.0.0.1:${(server.address() as AddressInfo).port}`;
		const alpha = await start('alpha', {
			...cluster,
			peers: [{ name: 'beta', url }],
		});
		const said =
			/^beta ended the connection \(wss:.*\) once it had seen the certificate of alpha; its status says why$/;
		await waitFor(
			'the reason',
			() => said.test(reasonOf(alpha, 'beta')),
			() => reasonOf(alpha, 'beta'),
		);
	});

	it('whoever is dialed and is not exactly the node that was meant hears not one byte', async () => {
		const attempts: Record<string, TlsOptions> = {
			...strangers,
			'of a host, as the address has it': authority.odd('127.0.0.1', 'subjectAltName=IP:127.0.0.1').material,
			'of another member': alphas,
			'TLS 1.2': { ...betas, maxVersion: 'TLSv1.2' },
		};
		for (const [what, material] of Object.entries(attempts)) {
			const heard: Buffer[] = [];
			const server = createServer({ ...material, requestCert: false }, (socket) =>
				socket.on('error', () => undefined).on('data', (data: Buffer) => heard.push(data)),
			);
			opened.push(server);
			server.listen(0, '127.0.0.1');
			await once(server, 'listening');
			const clusters = await secured({ alpha: alphas, beta: betas });
			const cluster = clusters.get('alpha');
			assert.ok(cluster);
			const url = `wss://127.0.0.1:${(server.address() as AddressInfo).port}`;
			const alpha = await start('alpha', { ...cluster, peers: [{ name: 'beta', url }] });
			await waitFor(what, () => !/^(not connected yet)?$/.test(reasonOf(alpha, 'beta')));
			assert.equal(Buffer.concat(heard).toString('latin1'), '', what);
			assert.deepEqual(alpha.live(), [], what);
			alpha.close();
		}
	});

	it('a member that opens ever more connections keeps no other member out, and gives up its own oldest ones', async () => {
		const clusters = await secured({ alpha: alphas, beta: betas, delta: (await authority.issue('delta')).material });
		const alpha = await start('alpha', clusters.get('alpha'));
		const held: TLSSocket[] = [];
		for (let count = 0; count <= connectionsOfMemberMax; count++) {
			const { socket, heard } = await upgrade(alpha.port, betas);
			held.push(socket);
			assert.match(heard, /^HTTP\/1\.1 101/);
		}
		await waitFor('the oldest to be closed', () => held[0]?.closed === true);
		assert.equal(held.filter(({ closed }) => closed).length, 1);
		await start('delta', clusters.get('delta'));
		await until(alpha, ['up'], () => alpha.live().some(({ node }) => node === 'delta'), 'the link to delta');
		for (const socket of held) socket.destroy();
	});

	it('a member with a proper certificate cannot speak in the name of another', async () => {
		const clusters = await secured({ alpha: alphas, beta: betas, gamma: betas });
		const alpha = await start('alpha', clusters.get('alpha'));
		const gamma = await start('gamma', clusters.get('gamma'));
		const refused = (): boolean =>
			/names beta/.test(reasonOf(alpha, 'gamma')) && /names beta/.test(reasonOf(gamma, 'alpha'));
		await waitFor('both ends to refuse', refused);
		assert.equal(alpha.live().length + gamma.live().length, 0);
	});
});

const fingerprintOf = ({ cert }: TlsMaterial): string => new X509Certificate(cert).fingerprint256;

/** It hears nothing, or why it is turned away; never a word of the protocol. */
function assertTurnedAway(heard: string, what: string): void {
	const refusal =
		/^HTTP\/1\.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\nrollcall-refusal: [ -~]{1,300}\r\n\r\n$/;
	if (heard !== '') assert.match(heard, refusal, what);
}

/** What a stranger hears when it asks for an upgrade; nothing when it is cut off. */
async function talk(port: number, material: ConnectionOptions): Promise<string> {
	const { socket, heard } = await upgrade(port, material);
	if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve).resume().end());
	return heard;
}

/** A connection that has asked for an upgrade, and the first that it heard; it stays open if it was let in. */
async function upgrade(port: number, material: ConnectionOptions): Promise<{ socket: TLSSocket; heard: string }> {
	const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...material });
	socket.on('error', () => undefined);
	socket.write(
		'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
	);
	const heard = await new Promise<string>((resolve) => {
		socket.once('data', (data: Buffer) => resolve(data.toString('latin1')));
		socket.once('close', () => resolve(''));
	});
	return { socket, heard };
}

/** What the listener shows to a member. */
async function presented(
	port: number,
	options: ConnectionOptions,
): Promise<{ pem: X509Certificate; protocol: string | null; reused: boolean }> {
	const socket: TLSSocket = connect({ host: '127.0.0.1', port, ...options, checkServerIdentity: () => undefined });
	try {
		await once(socket, 'secureConnect');
		const pem = socket.getPeerX509Certificate();
		assert.ok(pem);
		return { pem, protocol: socket.getProtocol(), reused: socket.isSessionReused() };
	} finally {
		socket.on('error', () => undefined).destroy();
	}
}
