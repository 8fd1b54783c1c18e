import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { authoritiesOf } from '../../../src/config/checks/authorities.js';
import { authoritiesIn, signersOf } from '../../../src/config/checks/certificates.js';
import { findLack, type Surroundings } from '../../../src/daemon/app-needs.js';
import { type KnownPeer, whyCutOff } from '../../../src/fleet/core/cut-off.js';
import type { Membership } from '../../../src/fleet/links/membership.js';
import type { CheckResult, TlsFacts } from '../../../src/rollout/messages.js';
import { findDistrust } from '../../../src/rollout/requests/trust.js';
import type { WorkerApp } from '../../../src/workers/types.js';
import { TestAuthority } from '../../support/fleet/authority.js';

const facts = (changes: Partial<TlsFacts> = {}): CheckResult => ({
	fault: null,
	members: null,
	memberHash: null,
	configHash: null,
	tls: {
		caFile: '/t/ca.pem',
		certFile: '/t/cert.pem',
		trusts: ['a1'],
		trustsNow: ['a1'],
		signedBy: ['a1'],
		presents: ['a1'],
		...changes,
	},
});

test('each step of a change of authority goes through alone, and one that skips a step is refused with node, file and way', () => {
	const both = { trusts: ['a1', 'b2'], trustsNow: ['a1'] };
	const cases: [string, Partial<TlsFacts>, Partial<TlsFacts>, RegExp | null][] = [
		['nothing changes', {}, {}, null],
		['first both authorities', both, both, null],
		['on one node before the other', both, {}, null],
		[
			'then new certificates',
			{ ...both, trustsNow: ['a1', 'b2'], signedBy: ['b2'] },
			{ ...both, trustsNow: ['a1', 'b2'] },
			null,
		],
		[
			'then without the old one',
			{ trusts: ['b2'], trustsNow: ['a1', 'b2'], signedBy: ['b2'], presents: ['b2'] },
			{ trusts: ['b2'], trustsNow: ['a1', 'b2'], signedBy: ['b2'], presents: ['b2'] },
			null,
		],
		[
			'the old one gone too early',
			{ ...both, trusts: ['b2'], signedBy: ['b2'], trustsNow: ['a1', 'b2'], presents: ['b2'] },
			{ ...both, trustsNow: ['a1', 'b2'] },
			/^alpha: its new \/t\/ca\.pem does not accept the certificate that beta presents now; leave the old authority in it/,
		],
		[
			'a certificate of one that is not known yet',
			{},
			{ ...both, signedBy: ['b2'] },
			/^beta: the new certificate \/t\/cert\.pem is of an authority that alpha does not accept yet; put the old and the new/,
		],
		[
			'files that do not fit each other',
			{ trusts: ['a1'], trustsNow: ['a1', 'b2'] },
			{ ...both, trustsNow: ['a1', 'b2'], signedBy: ['b2'] },
			/^beta: the new certificate .* is not in the new \/t\/ca\.pem of alpha/,
		],
	];
	for (const [what, alpha, beta, expected] of cases) {
		const text = findDistrust([
			['alpha', facts(alpha)],
			['beta', facts(beta)],
			['gamma', { ...facts(), tls: undefined }],
		]);
		if (expected === null) assert.equal(text, null, what);
		else assert.match(text ?? '', expected, what);
	}
});

test('authorities are told by subject and key, and only those that are valid count', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-trust-'));
	try {
		const [one, other] = [await TestAuthority.make(folder), await TestAuthority.make(folder)];
		const { ca, cert } = (await one.issue('alpha')).material;
		const foreign = (await other.issue('alpha')).material;
		const now = Date.now();
		const both = `${ca}\n${foreign.ca}`;
		assert.equal(authoritiesIn(both, now).length, 2);
		assert.deepEqual(signersOf(cert, both, now), authoritiesIn(ca, now));
		assert.deepEqual(signersOf(foreign.cert, both, now), authoritiesIn(foreign.ca, now));
		assert.deepEqual(signersOf(cert, foreign.ca, now), []);
		assert.deepEqual(authoritiesIn(ca, now + 20 * 365 * 86_400_000), []);
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test('files that this node alone takes up do not cut it off from a peer, and a repair is never refused', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-cut-'));
	try {
		const [one, other] = [await TestAuthority.make(folder), await TestAuthority.make(folder)];
		const [old, fresh] = [(await one.issue('alpha')).material, (await other.issue('alpha')).material];
		const [ofOne, ofOther] = [authoritiesOf(old), authoritiesOf(fresh)];
		assert.ok(ofOne && ofOther);
		const ca = { one: old.ca, other: fresh.ca, both: `${old.ca}\n${fresh.ca}` };
		const cert = { one: old, other: fresh };
		const holding = (accepts: keyof typeof ca, presents: keyof typeof cert, members = ['alpha', 'beta']): Membership =>
			({
				self: 'alpha',
				members: members.map((name) => ({ name, zone: null })),
				cluster: { tls: { ...cert[presents], ca: ca[accepts] } },
				tlsFiles: { ca: '/t/ca.pem', cert: '/t/cert.pem', key: '/t/key.pem' },
			}) as unknown as Membership;
		const both = { accepts: [...ofOne.accepts, ...ofOther.accepts], presents: ofOne.presents };
		const beta = (authorities: KnownPeer['authorities'], linked = true): KnownPeer[] => [
			{ node: 'beta', linked, authorities },
		];
		const loses = /^its new \/t\/ca\.pem does not accept the certificate that beta presents now; leave the old/;
		const early = /^the new certificate \/t\/cert\.pem is of an authority that beta does not accept yet; put the old/;
		const cases: [string, Membership, Membership, KnownPeer[], RegExp | null][] = [
			['both authorities first', holding('one', 'one'), holding('both', 'one'), beta(ofOne), null],
			['a certificate too early', holding('both', 'one'), holding('both', 'other'), beta(ofOne), early],
			['a certificate in time', holding('both', 'one'), holding('both', 'other'), beta(both), null],
			['the old one out too early', holding('both', 'other'), holding('other', 'other'), beta(both), loses],
			[
				'the same while beta is down',
				holding('both', 'other'),
				holding('other', 'other'),
				beta(both, false),
				/that beta presented when it was last linked; leave the old/,
			],
			['beta leaves with it', holding('both', 'other'), holding('other', 'other', ['alpha']), beta(both), null],
			[
				'in time',
				holding('both', 'other'),
				holding('other', 'other'),
				beta({ ...both, presents: ofOther.presents }),
				null,
			],
			['a repair', holding('other', 'other'), holding('one', 'one'), beta(ofOne, false), null],
			['half a repair', holding('other', 'other'), holding('both', 'other'), beta(ofOne, false), null],
			[
				'nothing new where beta is cut off already',
				holding('other', 'other'),
				holding('other', 'other'),
				beta(ofOne),
				null,
			],
			['an earlier build', holding('both', 'other'), holding('other', 'other'), beta(null), null],
		];
		for (const [what, current, next, peers, expected] of cases) {
			const text = whyCutOff(current, next, peers, Date.now());
			if (expected === null) assert.equal(text, null, what);
			else assert.match(text ?? '', expected, what);
			const later = Date.now() + 20 * 365 * 86_400_000;
			if (expected !== early) assert.equal(whyCutOff(current, next, peers, later), null, `${what}, expired`);
		}
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test('what an app lacks on a host is said before anything is replaced: script, interpreter, command, port', () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-needs-'));
	try {
		const [script, program] = [join(folder, 'server.js'), join(folder, 'tool')];
		writeFileSync(script, '');
		writeFileSync(program, '#!/bin/sh\n');
		chmodSync(program, 0o755);
		const around: Surroundings = {
			isListenedOn: (port) => port === 8080,
			running: new Set(['old']),
			ownPorts: new Set([9090]),
			path: folder,
		};
		const health: WorkerApp['health'] = {
			...{ path: null, timeoutMs: 1, deadlineMs: 1, soakMs: 1, intervalMs: 1, failures: 1 },
		};
		const app = (changes: Partial<WorkerApp>): WorkerApp =>
			({
				name: 'web',
				script,
				cwd: folder,
				interpreter: 'node',
				env: {},
				ports: [],
				health: {},
				...changes,
			}) as WorkerApp;
		const cases: [string, Partial<WorkerApp>, Partial<Surroundings>, RegExp | null][] = [
			['all there', { ports: [9090, 8081] }, {}, null],
			[
				'no script',
				{ script: join(folder, 'gone.js') },
				{},
				/^app web: its script .*gone\.js is not there; put the release there first$/,
			],
			['a folder', { script: folder }, {}, /its script .* is no file$/],
			['an interpreter of PATH', { interpreter: 'tool' }, {}, null],
			['an interpreter by path', { interpreter: program }, {}, null],
			['no interpreter', { interpreter: 'python9' }, {}, /its interpreter python9 is not there, or not executable/],
			['one that is not executable', { interpreter: script }, {}, /its interpreter .* is not there, or not executable/],
			['no interpreter at all', { interpreter: 'none', script: program }, {}, null],
			['one that cannot run by itself', { interpreter: 'none' }, {}, /its script .* is not executable; chmod \+x it$/],
			['a command by its path', { health: { ...health, command: ['./tool', '-q'] } }, {}, null],
			[
				'a command that is not there',
				{ health: { ...health, command: ['./gone'] } },
				{},
				/\.\/gone of its health\.command is not there, or not executable/,
			],
			['a PATH of its own', { interpreter: 'tool', env: { PATH: '/nowhere' } }, {}, /its interpreter tool/],
			[
				'a port of another process',
				{ ports: [8080] },
				{},
				/^app web: port 8080 is taken by another process; stop that \(ss -ltnp\)/,
			],
			['a port of an app that runs', { name: 'old', ports: [8080] }, {}, null],
			['a port that a worker here may hold', { ports: [8080] }, { ownPorts: null }, null],
		];
		for (const [what, changes, surroundings, expected] of cases) {
			const text = findLack(app(changes), { ...around, ...surroundings });
			if (expected === null) assert.equal(text, null, what);
			else assert.match(text ?? '', expected, what);
		}
	} finally {
		rmSync(folder, { recursive: true });
	}
});
