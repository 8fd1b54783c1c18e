import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskSpace, type Space, spareBytes, spareFiles } from '../../../src/daemon/disk-space.js';
import { findWrong } from '../../../src/cli/commands/status/wrong.js';
import { certificateFault } from '../../../src/fleet/links/certificate-fault.js';
import { ClockOffset, clockPing } from '../../../src/fleet/links/clock-offset.js';
import { newPeer, noteRefusal, whyDown } from '../../../src/fleet/links/peer.js';
import type { ClusterNode } from '../../../src/fleet/types.js';

const now = Date.parse('2026-11-30T02:40:10Z');
const dayMs = 86_400_000;

test('a code of OpenSSL becomes a reason that names whose certificate it is, who refuses it, and its clock', () => {
	const facts = { whose: 'beta', judge: 'alpha', now };
	const from = now - 9 * dayMs;
	const cases: [string, { from: number; to: number } | null, RegExp | null][] = [
		[
			'CERT_HAS_EXPIRED',
			{ from, to: now - dayMs },
			/^the certificate of beta has expired, on 2026-11-29; the clock of alpha says 2026-11-30 02:40 UTC$/,
		],
		['CERT_HAS_EXPIRED', { from, to: now + dayMs }, /^the certificate of the authority of beta has expired; the clock/],
		['CERT_HAS_EXPIRED', null, /^the certificate of beta, or of its authority, has expired; the clock of alpha/],
		[
			'CERT_NOT_YET_VALID',
			{ from: now + dayMs, to: now + 2 * dayMs },
			/is not valid yet, but from 2026-12-01 02:40 UTC on; the clock of alpha/,
		],
		['CERT_NOT_YET_VALID', { from, to: now + dayMs }, /^the certificate of beta is not valid yet; the clock of alpha/],
		[
			'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
			null,
			/^the certificate of beta is of another authority than those in cluster\.tls\.ca of alpha$/,
		],
		['SELF_SIGNED_CERT_IN_CHAIN', null, /is of another authority than/],
		['CERT_REVOKED', null, /^the certificate of beta does not verify: CERT_REVOKED$/],
		['ECONNREFUSED', null, null],
		['ERR_SSL_WRONG_VERSION_NUMBER', null, null],
	];
	for (const [code, validity, expected] of cases) {
		const text = certificateFault({ ...facts, code, validity });
		if (expected === null) assert.equal(text, null, code);
		else assert.match(text ?? '', expected, code);
	}
});

test('a refused connection in the name of a peer is said with its address, and a stranger hides none of the peer itself', () => {
	const peer = newPeer('beta', 'wss://10.0.0.2:9933');
	peer.reason = 'connect ECONNREFUSED 10.0.0.2:9933';
	noteRefusal(peer, '10.9.9.9:4000', 'no proof');
	assert.equal(
		whyDown(peer),
		'connect ECONNREFUSED 10.0.0.2:9933; a connection in its name from 10.9.9.9:4000 is refused: no proof',
	);
	noteRefusal(peer, '10.0.0.2:4001', 'the certificate of beta has expired');
	noteRefusal(peer, '10.9.9.9:4002', 'a lie');
	assert.match(whyDown(peer) ?? '', /from 10\.0\.0\.2:4001 is refused: the certificate of beta has expired$/);
});

test('the offset of a clock is the smaller of two measures, so one that came late says nothing', () => {
	const cases: [number[], number | null][] = [
		[[], null],
		[[90_000], null],
		[[90_000, 90_200], 90_000],
		[[-3_600_000, -3_600_900], -3_600_000],
		[[0, -20_000], 0],
		[[-20_000, -3], -3],
		[[5_000, -5_000], 0],
	];
	for (const [offsets, expected] of cases) {
		const clock = new ClockOffset();
		for (const offset of offsets) clock.hear(clockPing(now + offset), now);
		clock.hear('12 0.250', now);
		clock.hear('clock 99999999999999999', now);
		assert.equal(clock.ms, expected, JSON.stringify(offsets));
	}
});

test('status says why a link is down and whose clock is off', () => {
	const row = (changes: Partial<ClusterNode>): ClusterNode => ({
		name: 'beta',
		zone: null,
		link: 'up',
		boot: 1,
		ready: true,
		availability: null,
		version: '1.0.0',
		configuration: 'file',
		rtt_ms: 1,
		last_seen: now - 3_000,
		reason: null,
		clock_offset_ms: 4_000,
		authorities: null,
		...changes,
	});
	const wrong = (changes: Partial<ClusterNode>): string[] => {
		const node = { name: 'alpha', boot: 1, ready: true, reasons: [], notes: [], apps: [] };
		return findWrong(
			{ node, workers: [], fleet: { coordinator: null, nodes: [row(changes)] }, rollout: null },
			'',
			now,
		);
	};
	assert.deepEqual(wrong({}), []);
	assert.deepEqual(wrong({ link: 'down', reason: 'it is refused' }), [
		'no link to beta, last seen 3.0 s ago: it is refused',
	]);
	const faults = { whose: 'beta', judge: 'alpha', now, validity: null };
	for (const [code, remedy] of [
		[
			'CERT_HAS_EXPIRED',
			/rollcall ca issue beta --force; .*to beta, .*: rollcall restart_service service=clustering_config$/,
		],
		[
			'SELF_SIGNED_CERT_IN_CHAIN',
			/rollcall ca issue beta --force; .*: rollcall restart_service service=clustering_config$/,
		],
		['CERT_NOT_YET_VALID', /Set the clock that is wrong right \(timedatectl\)$/],
	] as const) {
		const reason = `alpha refuses this node (wss://10.0.0.1:4001): ${certificateFault({ ...faults, code })}`;
		assert.match(wrong({ link: 'down', reason })[0] ?? '', remedy);
	}
	assert.match(
		wrong({ clock_offset_ms: 86_400_000 })[0] ?? '',
		/^the clock of beta is .* ahead of that of this node; set/,
	);
	assert.match(wrong({ clock_offset_ms: -9_000 })[0] ?? '', /^the clock of beta is 9\.0 s behind that of this node/);
});

test('a file system that is nearly full is named with its path while it still takes what is written, once in the log', async () => {
	let space: Space | Error = { freeBytes: spareBytes, freeFiles: null };
	const readOnly = Object.assign(new Error('EROFS: read-only file system, utime'), { code: 'EROFS' });
	const logged: unknown[] = [];
	const logger = { warn: (line: object) => logged.push(line), info: (line: object) => logged.push(line) };
	const folder = { key: 'state_dir', path: '/var/lib/rollcall', consequence: 'it stops', isOwn: true };
	const disk = new DiskSpace([folder], logger as never, async () => {
		if (space instanceof Error) throw space;
		return space;
	});
	const cases: [Space | Error, RegExp | null][] = [
		[{ freeBytes: spareBytes, freeFiles: null }, null],
		[
			{ freeBytes: 12 * 1024 ** 2, freeFiles: 9_000 },
			/^The file system of \/var\/lib\/rollcall \(state_dir\) has only 12 MiB free: make space there; without it it stops\.$/,
		],
		[{ freeBytes: spareBytes, freeFiles: spareFiles - 1 }, /has only room for 255 more files/],
		[
			readOnly,
			/^The file system of \/var\/lib\/rollcall \(state_dir\) is read-only: .*fsck.*mount it writable again, then restart this daemon.*Until then it stops\.$/,
		],
		[{ freeBytes: spareBytes, freeFiles: spareFiles }, null],
	];
	try {
		for (const [now, expected] of cases) {
			space = now;
			await disk.look();
			assert.equal(disk.notes().length, expected === null ? 0 : 1);
			if (expected) assert.match(disk.notes()[0] ?? '', expected);
		}
		assert.deepEqual(logged, [
			{ event: 'disk_nearly_full', key: 'state_dir', path: '/var/lib/rollcall' },
			{ event: 'disk_has_space', key: 'state_dir', path: '/var/lib/rollcall' },
		]);
	} finally {
		disk.close();
	}
});
