import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { Reload } from '../../../src/daemon/reload.js';
import { RollcallError } from '../../../src/errors.js';
import { leftNote } from '../../../src/fleet/left.js';
import type { PeerStatus } from '../../../src/fleet/links/links.js';
import type { RolloutView } from '../../../src/rollout/types.js';

test('a reload during a rollout is kept, said, and done once that has ended; a refusal of another kind is not', async () => {
	const told: string[] = [];
	let refusal: RollcallError | null = new RollcallError('conflict', 'Rollout r1 is running');
	const fleet = Object.assign(new EventEmitter(), {
		startRollout: async () => {
			told.push('start');
			fleet.emit('asked');
			if (refusal) throw refusal;
			return { id: 'r2' } as RolloutView;
		},
	});
	const reload = new Reload({
		fleet: fleet as never,
		logger: {
			info: (line: { event: string }) => told.push(line.event),
			error: (line: { event: string }) => told.push(line.event),
		} as never,
		notifier: { reloading: () => told.push('reloading'), ready: () => told.push('ready') },
		changed: () => fleet.emit('changed'),
		ended: (outcome) => told.push('fault' in outcome ? 'refused' : outcome.rollout),
	});
	try {
		assert.equal(reload.note(), null);
		let changed = once(fleet, 'changed');
		reload.ask();
		await changed;
		assert.match(reload.note() ?? '', /^A reload \(SIGHUP\) waits .*: Rollout r1 is running$/);
		assert.deepEqual(told.splice(0), ['reloading', 'start', 'ready', 'reload_waits']);
		fleet.emit('rollout', { state: 'running' });
		assert.deepEqual(told, [], 'each step of the rollout asks nothing');
		refusal = null;
		changed = once(fleet, 'changed');
		fleet.emit('rollout', { state: 'completed' });
		await changed;
		assert.equal(reload.note(), null);
		assert.deepEqual(told.splice(0), ['start', 'r2', 'ready']);
		fleet.emit('rollout', { state: 'completed' });
		assert.deepEqual(told, [], 'it is done once');
		refusal = new RollcallError('unavailable', 'no');
		reload.ask();
		await new Promise(setImmediate);
		assert.deepEqual(
			[told.splice(0), reload.note()],
			[['reloading', 'start', 'reload_refused', 'refused', 'ready'], null],
		);
	} finally {
		reload.close();
	}
});

test('a node that has left knows it by its rollout, and one that most peers disown by what they say', () => {
	const down = (node: string, reason: string): PeerStatus => ({ node, link: null, reason }) as PeerStatus;
	const disowns = (node: string): PeerStatus =>
		down(
			node,
			`${node} refuses this node: the certificate names epsilon, which is no member in the configuration of ${node}`,
		);
	const change = (changes: Partial<RolloutView>) =>
		({ id: 'r7', service: 'clustering_config', replicated: true, state: 'completed', ...changes }) as RolloutView;
	const left = change({ reason: 'epsilon has left the fleet (rollout r7); stop it, or add it again' });
	const refused = down('gamma', 'connect ECONNREFUSED');
	const cases: [PeerStatus[], RolloutView[], RegExp | null][] = [
		[[], [left], null],
		[[refused, { ...refused, link: 'l' }], [left], null],
		[
			[refused],
			[left],
			/^epsilon has left the fleet \(rollout r7\); stop it, or add it to cluster\.peers of every node/,
		],
		[[refused], [change({ reason: null }), left], null],
		[
			[disowns('alpha'), disowns('beta'), refused],
			[],
			/^epsilon is no member in the configuration of alpha, beta; stop it, or add it/,
		],
		[[disowns('alpha'), refused], [], null],
	];
	for (const [peers, views, expected] of cases) {
		const note = leftNote('epsilon', peers, () => views);
		if (expected === null) assert.equal(note, null);
		else assert.match(note ?? '', expected);
	}
});
