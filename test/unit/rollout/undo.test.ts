/** Undo: every node that a rollout brought something to goes back to what it ran before; asked for, or as on_failure says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreRequest } from '../../../src/rollout/messages.js';
import type { RolloutView } from '../../../src/rollout/types.js';
import { SimFleet } from '../../support/rollout/sim-fleet.js';

const three = ['alpha', 'beta', 'gamma'];
const fresh = (names = three): SimFleet => new SimFleet(names).settled();

/** The files name this revision from now on, as after a deployment. */
function deploy(fleet: SimFleet, revision: string): SimFleet {
	for (const { executor } of fleet.nodes.values()) executor.kept.deployed = revision;
	return fleet;
}
const runs = (fleet: SimFleet): Record<string, string | null | undefined> =>
	Object.fromEntries(
		[...fleet.nodes.values()].map(({ name, executor }) => [name, executor.releases()['web']?.revision]),
	);
const pins = (fleet: SimFleet): (string | null)[] =>
	[...fleet.nodes.values()].map(({ executor }) => executor.kept.pinned);
const statesOf = ({ nodes }: RolloutView): string[] =>
	nodes.map(({ node, state, reason }) => `${node} ${state}${reason === null ? '' : `: ${reason}`}`).sort();
const begunIn = (fleet: SimFleet, id: string): string[] =>
	fleet.begun.filter(({ rollout }) => rollout === id).map(({ node }) => node);
const revert: Partial<CoreRequest> = { onFailure: 'revert' };

/** Rolls to this revision, and answers the rollout. */
function roll(fleet: SimFleet, revision: string, request: Partial<CoreRequest> = {}): RolloutView {
	const id = deploy(fleet, revision).ask('alpha', request).view?.id ?? '';
	return fleet.untilState('alpha', id, 'completed');
}
const undo = (fleet: SimFleet, reverts: string, node = 'alpha', request: Partial<CoreRequest> = {}) =>
	fleet.ask(node, { reverts, ...request });

test('an undo rolls every node back to what it ran before, one after the other, whatever the files name by then', () => {
	const fleet = fresh();
	const first = roll(fleet, 'v2', { maxUnavailable: 2 });
	deploy(fleet, 'v3');
	const { view } = undo(fleet, first.id, 'beta', { note: 'too slow' });
	const done = fleet.untilState('gamma', view?.id ?? '', 'completed');
	assert.deepEqual(runs(fleet), { alpha: 'v1', beta: 'v1', gamma: 'v1' });
	assert.deepEqual(pins(fleet), ['v1', 'v1', 'v1']);
	assert.deepEqual(begunIn(fleet, done.id).at(-1), 'beta', 'the coordinator goes last');
	assert.deepEqual([done.reverts, done.max_unavailable, done.note], [first.id, 2, 'too slow']);
	assert.deepEqual(done.selected, { nodes: null, zone: null });
	const [node] = done.nodes;
	assert.deepEqual([node?.release?.before?.['web']?.revision, node?.release?.after?.['web']?.revision], ['v2', 'v1']);
	assert.equal(fleet.view('alpha', first.id)?.state, 'completed', 'what has ended stays as it ended');
});

test('an undo may be undone, which goes forward again; the next rollout starts what the files name', () => {
	const fleet = fresh();
	const first = roll(fleet, 'v2');
	deploy(fleet, 'v3');
	const back = fleet.untilState('alpha', undo(fleet, first.id).view?.id ?? '', 'completed');
	const forward = fleet.untilState('alpha', undo(fleet, back.id).view?.id ?? '', 'completed');
	assert.equal(forward.reverts, back.id);
	assert.deepEqual(runs(fleet), { alpha: 'v2', beta: 'v2', gamma: 'v2' });
	roll(fleet, 'v3');
	assert.deepEqual(runs(fleet), { alpha: 'v3', beta: 'v3', gamma: 'v3' });
	assert.deepEqual(pins(fleet), [null, null, null]);
});

test('a release that is refused is put back by the coordinator, and the rollout says what failed and what undid it', () => {
	const fleet = deploy(fresh(), 'v2');
	fleet.node('gamma').executor.fates = ['refused', 'good'];
	const id = fleet.ask('alpha', revert).view?.id ?? '';
	const ended = fleet.untilState('beta', id, 'aborted');
	assert.equal(ended.reason, `gamma refused: the new release answers 500; reverted by ${id}-undo`);
	assert.equal(ended.reverted_by, `${id}-undo`);
	assert.deepEqual(statesOf(ended), ['alpha skipped', 'beta back', 'gamma refused: the new release answers 500']);
	const done = fleet.untilState('gamma', `${id}-undo`, 'completed');
	assert.deepEqual(runs(fleet), { alpha: 'v1', beta: 'v1', gamma: 'v1' });
	assert.deepEqual(begunIn(fleet, done.id), ['beta'], 'the others run the old release');
	const untouched = `skipped: did not run what rollout ${id} brought`;
	assert.deepEqual(statesOf(done), [`alpha ${untouched}`, 'beta back', `gamma ${untouched}`]);
	assert.deepEqual([done.reverts, done.asked_by], [id, { user: 'admin', from: 'revert' }]);
	assert.deepEqual(
		fleet.history('beta').map((one) => one.id),
		[done.id, id],
	);
});

test('a node that failed is put back, too, and goes first since it serves nobody', () => {
	const fleet = deploy(fresh(), 'v2');
	fleet.node('gamma').executor.fates = ['failed', 'good'];
	const id = fleet.ask('alpha', revert).view?.id ?? '';
	fleet.untilState('gamma', `${id}-undo`, 'completed');
	assert.deepEqual(begunIn(fleet, `${id}-undo`), ['gamma', 'beta']);
	assert.deepEqual(runs(fleet), { alpha: 'v1', beta: 'v1', gamma: 'v1' });
});

test('whenever the coordinator dies between the failure and the first step of the undo, one undo is done', () => {
	let cases = 0;
	for (let after = 0; ; after += 1) {
		const fleet = deploy(fresh(), 'v2');
		fleet.node('gamma').executor.fates = ['refused', 'good'];
		let effects = -1;
		let stop = false;
		fleet.onEffect = (node, effect) => {
			if (node !== 'alpha' || stop) return;
			if (effect.kind === 'note' && effect.event === 'rollout_halted') effects = 0;
			else if (effects >= 0) effects += 1;
			if (effect.kind === 'note' && effect.event === 'step_granted' && effects > 0) stop = true;
			if (effects !== after) return;
			stop = true;
			fleet.time.after(0, () => {
				fleet.node('alpha').kill();
				fleet.time.after(3000, () => fleet.node('alpha').start());
			});
		};
		const id = fleet.ask('alpha', revert).view?.id ?? '';
		fleet.until(`the undo after effect ${after}`, () =>
			['beta', 'gamma'].every((name) => fleet.view(name, `${id}-undo`)?.state === 'completed'),
		);
		fleet.run(15_000);
		assert.deepEqual(runs(fleet), { alpha: 'v1', beta: 'v1', gamma: 'v1' }, `after effect ${after}`);
		assert.deepEqual(begunIn(fleet, `${id}-undo`), ['beta'], `after effect ${after}`);
		for (const name of three) {
			const shown = fleet.history(name).map((one) => [one.id, one.state, one.reverted_by]);
			const expected = [
				[`${id}-undo`, 'completed', null],
				[id, 'aborted', `${id}-undo`],
			];
			assert.deepEqual(shown, expected, `${name} after effect ${after}`);
		}
		cases += 1;
		if (effects < after) break;
	}
	assert.ok(cases > 20, `${cases} moments`);
});

test('a start that comes between the failure and the undo is refused', () => {
	for (const asked of three) {
		const fleet = deploy(fresh(), 'v2');
		fleet.node('gamma').executor.fates = ['refused', 'good'];
		const id = fleet.ask('alpha', revert).view?.id ?? '';
		fleet.until('it is halted', () => fleet.view(asked, id)?.state === 'halted');
		const { refusal } = fleet.ask(asked);
		assert.equal(refusal?.code, 'conflict', asked);
		fleet.untilState('beta', `${id}-undo`, 'completed');
		assert.deepEqual(runs(fleet), { alpha: 'v1', beta: 'v1', gamma: 'v1' }, asked);
	}
});

test('an undo that fails halts, and is not undone', () => {
	const fleet = deploy(fresh(), 'v2');
	fleet.node('gamma').executor.fates = ['refused', 'good'];
	fleet.node('beta').executor.fates = ['good', 'refused', 'good'];
	const id = fleet.ask('alpha', revert).view?.id ?? '';
	const halted = fleet.untilState('gamma', `${id}-undo`, 'halted');
	assert.match(halted.reason ?? '', /^beta refused: the new release answers 500\. resume_rollout tries beta again/);
	assert.equal(halted.reverted_by, null);
	fleet.run(20_000);
	assert.deepEqual(
		fleet.history('gamma').map((one) => one.id),
		[`${id}-undo`, id],
	);
	fleet.say('beta', { kind: 'resume', rollout: `${id}-undo`, skip: [], user: 'admin' });
	fleet.untilState('gamma', `${id}-undo`, 'completed');
	assert.deepEqual(runs(fleet), { alpha: 'v1', beta: 'v1', gamma: 'v1' });
});

test('where the old release is gone nothing is put back, and the halt says both', () => {
	const fleet = deploy(fresh(), 'v2');
	fleet.node('gamma').executor.fates = ['refused', 'good'];
	fleet.node('beta').executor.kept.gone.add('v1');
	const id = fleet.ask('alpha', revert).view?.id ?? '';
	const given = () => fleet.view('gamma', id);
	fleet.until('both reasons', () => given()?.reason?.includes('put back') === true);
	assert.equal(
		given()?.reason,
		'gamma refused: the new release answers 500; on_failure is revert, but it could not be put back: beta: app web cannot start from /srv/v1/server.js: it is gone. resume_rollout tries alpha, gamma again, abort_rollout ends the rollout',
	);
	assert.deepEqual([given()?.state, given()?.reverted_by], ['halted', null]);
	fleet.run(10_000);
	assert.deepEqual(runs(fleet), { alpha: 'v1', beta: 'v2', gamma: 'v1' });
	// An operator who has brought it back tries again.
	fleet.node('beta').executor.kept.gone.clear();
	fleet.node('gamma').executor.fates = ['refused', 'good'];
	fleet.say('beta', { kind: 'resume', rollout: id, skip: [], user: 'admin' });
	fleet.untilState('gamma', `${id}-undo`, 'completed');
	assert.deepEqual(runs(fleet), { alpha: 'v1', beta: 'v1', gamma: 'v1' });
});

test('where no node took the release there is nothing to put back', () => {
	const fleet = deploy(fresh(), 'v2');
	fleet.node('beta').executor.fates = ['refused', 'good'];
	const id = fleet.ask('alpha', revert).view?.id ?? '';
	fleet.until('both', () => fleet.view('gamma', id)?.reason?.includes('nothing to put back') === true);
	const halted = fleet.view('gamma', id);
	assert.match(halted?.reason ?? '', /^beta refused: the new release answers 500; nothing to put back: no node runs/);
	fleet.run(10_000);
	assert.deepEqual(
		fleet.history('gamma').map((one) => [one.id, one.state]),
		[[id, 'halted']],
	);
});

test('an undo of a halted rollout ends it with its own reason; a new rollout supersedes it as before', () => {
	const fleet = deploy(fresh(), 'v2');
	fleet.node('gamma').executor.fates = ['refused', 'good'];
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.untilState('gamma', id, 'halted');
	const by = undo(fleet, id, 'gamma').view?.id ?? '';
	const ended = fleet.untilState('beta', id, 'aborted');
	assert.deepEqual(
		[ended.reason, ended.reverted_by],
		[`gamma refused: the new release answers 500; reverted by ${by}`, by],
	);
	assert.deepEqual(statesOf(ended), ['alpha skipped', 'beta back', 'gamma refused: the new release answers 500']);
	fleet.untilState('beta', by, 'completed');
	assert.deepEqual(runs(fleet), { alpha: 'v1', beta: 'v1', gamma: 'v1' });
});

test('what cannot be undone is refused before anything starts, and says why', () => {
	const fleet = fresh();
	const plain = fleet.untilState('alpha', fleet.ask('alpha').view?.id ?? '', 'completed');
	const links = fleet.untilState('alpha', fleet.ask('alpha', { service: 'clustering' }).view?.id ?? '', 'completed');
	const rolled = roll(fleet, 'v2');
	const refusalOf = (id: string) => {
		const { refusal } = undo(fleet, id, 'beta');
		return [refusal?.code, refusal?.message];
	};
	assert.deepEqual(refusalOf(plain.id), ['invalid', 'nothing to put back: alpha, beta, gamma run it already']);
	assert.deepEqual(refusalOf('r99'), ['not_found', "Rollout 'r99' not found"]);
	assert.deepEqual(refusalOf(links.id), [
		'invalid',
		`Rollout ${links.id} was one of clustering, which changes no release; only rollouts of http_workers can be undone`,
	]);
	fleet.node('gamma').executor.kept.gone.add('v1');
	assert.deepEqual(refusalOf(rolled.id), [
		'unavailable',
		'gamma: app web cannot start from /srv/v1/server.js: it is gone',
	]);
	assert.deepEqual(runs(fleet), { alpha: 'v2', beta: 'v2', gamma: 'v2' });
	fleet.node('gamma').executor.kept.gone.clear();
	const open = deploy(fleet, 'v3').ask('alpha').view?.id ?? '';
	assert.deepEqual(
		[undo(fleet, open, 'beta').refusal?.code, undo(fleet, rolled.id).refusal?.code],
		['conflict', 'conflict'],
	);
	fleet.untilState('alpha', open, 'completed');
	// What runs already is passed over; of three nodes one has come back by itself.
	fleet.node('beta').executor.kept.deployed = 'v2';
	const alone = fleet.ask('beta', { replicated: false }).view?.id ?? '';
	fleet.untilState('beta', alone, 'completed');
	const done = fleet.untilState('alpha', undo(fleet, open).view?.id ?? '', 'completed');
	assert.deepEqual(statesOf(done), ['alpha back', 'beta skipped: runs it already', 'gamma back']);
	assert.deepEqual(runs(fleet), { alpha: 'v2', beta: 'v2', gamma: 'v2' });
	const other = undo(fleet, 'r3');
	assert.equal(other.refusal, null);
});

test('on_failure revert is for http_workers over the fleet; a configured one leaves other rollouts to halt', () => {
	const fleet = fresh();
	for (const request of [
		{ service: 'clustering' as const },
		{ type: 'restart' as const, service: null },
		{ replicated: false },
	]) {
		const { refusal } = fleet.ask('alpha', { ...revert, ...request });
		assert.equal(refusal?.code, 'invalid');
		assert.match(refusal?.message ?? '', /^'on_failure' may be revert for http_workers over the fleet alone/);
	}
});

test('a node without a fleet undoes and reverts its own rollouts', () => {
	const fleet = new SimFleet(['alpha'], { clustered: false });
	const first = roll(fleet, 'v2');
	const back = fleet.untilState('alpha', undo(fleet, first.id).view?.id ?? '', 'completed');
	assert.deepEqual([back.reverts, runs(fleet)], [first.id, { alpha: 'v1' }]);
	fleet.node('alpha').executor.fates = ['failed', 'good'];
	const id = deploy(fleet, 'v3').ask('alpha', revert).view?.id ?? '';
	fleet.untilState('alpha', `${id}-undo`, 'completed');
	const ended = fleet.view('alpha', id);
	assert.deepEqual(
		[ended?.state, ended?.reason, ended?.reverted_by],
		['aborted', `alpha failed: a worker was lost; reverted by ${id}-undo`, `${id}-undo`],
	);
	assert.deepEqual(runs(fleet), { alpha: 'v1' });
	fleet.node('alpha').executor.fates = ['refused', 'good'];
	const again = fleet.ask('alpha', revert).view?.id ?? '';
	const halted = fleet.untilState('alpha', again, 'halted');
	fleet.run(100);
	assert.match(
		fleet.view('alpha', halted.id)?.reason ?? '',
		/^alpha refused: the new release answers 500; nothing to put back/,
	);
});
