/** What a member of the fleet can do at most that has a proper certificate and wants ill: SECURITY.md says it in words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { peerMessage } from '../../src/fleet/messages.js';
import type { PeerMessage } from '../../src/rollout/protocol.js';
import type { RolloutSpec, RolloutView } from '../../src/rollout/types.js';
import { SimFleet } from '../support/sim-fleet.js';
import { peerMessages } from '../support/wire-samples.js';

const three = ['alpha', 'beta', 'gamma'];
const fresh = (): SimFleet => new SimFleet(three).settled();
const forgedBy = { counter: 1_000, node: 'gamma' };

/** Gamma says it to the others. */
function hostile(fleet: SimFleet, ...messages: PeerMessage[]): void {
	for (const message of messages)
		for (const name of ['alpha', 'beta']) fleet.node(name).tell({ kind: 'message', from: 'gamma', message });
	fleet.run(200);
}

function specOf(fleet: SimFleet, id: string): RolloutSpec {
	const spec = fleet.node('alpha').core?.durable.open.find((one) => one.spec.id === id)?.spec;
	assert.ok(spec);
	return spec;
}

const completed = (view: RolloutView): RolloutView => ({
	...view,
	state: 'completed',
	ended_at: 1,
	nodes: view.nodes.map((node) => ({ ...node, state: 'back' as const })),
});

test('a forged ending ends a rollout early and is shown, yet moves no worker, and a new rollout goes on', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('the first step', () => fleet.begun.length > 0);
	const view = fleet.view('beta', id);
	assert.ok(view);
	hostile(fleet, { kind: 'ended', endings: [{ rollout: id, epoch: forgedBy, view: completed(view) }] });
	const begun = fleet.begun.length;
	fleet.run(10_000);
	assert.equal(fleet.view('beta', id)?.state, 'completed', 'honest nodes believe it');
	assert.equal(fleet.begun.length, begun, 'and nothing more is restarted');
	const next = fleet.ask('beta');
	assert.equal(next.ok, true, JSON.stringify(next));
	fleet.untilState('alpha', next.view?.id ?? '', 'completed');
});

test('a forged view is shown for a rollout that runs, starts nothing, and gives way to the ending', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	const view = fleet.view('beta', id);
	assert.ok(view);
	const before = fleet.begun.length;
	const invented = { ...view, id: 'invented', user: 'somebody' };
	hostile(
		fleet,
		{ kind: 'view', epoch: forgedBy, number: 1, view: { ...view, waiting_for: 'forged' } },
		{ kind: 'view', epoch: forgedBy, number: 1, view: invented },
	);
	assert.equal(fleet.view('beta', 'invented'), undefined, 'a rollout that nobody stored is not shown');
	assert.ok(fleet.begun.slice(before).every(({ rollout }) => rollout === id));
	assert.equal(fleet.untilState('alpha', id, 'completed').waiting_for, null);
	fleet.until('the real end everywhere', () => fleet.view('beta', id)?.state === 'completed');
	assert.equal(fleet.view('beta', id)?.user, 'admin');
});

test('a hostile coordinator can restart nodes without regard to the budget, each once for a rollout and by its own file', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	const spec = { ...specOf(fleet, id), id: 'forged' };
	fleet.untilState('alpha', id, 'completed');
	const done = fleet.begun.length;
	const version = { epoch: forgedBy, n: 1 };
	const flags = { version, attempt: 1, skipped: [], left: [], paused: false, aborting: null, halted: null };
	hostile(
		fleet,
		{ kind: 'store', epoch: forgedBy, open: [{ spec, flags }], ended: [] },
		{ kind: 'restart', epoch: forgedBy, rollout: 'forged', version, attempt: 1 },
		{ kind: 'restart', epoch: forgedBy, rollout: 'forged', version, attempt: 1 },
	);
	const atOnce = fleet.begun.slice(done).map(({ node }) => node);
	assert.deepEqual(atOnce.sort(), ['alpha', 'beta']);
	fleet.run(5_000);
	// An honest node takes the rollout over and brings it to its end, as it would any other.
	const begun = fleet.begun.slice(done).filter(({ rollout }) => rollout === 'forged');
	assert.deepEqual(begun.map(({ node }) => node).sort(), three);
});

test('under an epoch beyond which there is none a node still rolls itself', () => {
	const fleet = fresh();
	const top = { counter: Number.MAX_SAFE_INTEGER, node: 'gamma' };
	hostile(fleet, { kind: 'heartbeat', epoch: top, number: 1, live: false });
	fleet.run(10_000);
	const own = fleet.ask('alpha', { replicated: false });
	assert.equal(own.ok, true, JSON.stringify(own));
	fleet.untilState('alpha', own.view?.id ?? '', 'completed');
});

/** Every message that there is, and what it touches: a new one does not compile without a line here. */
const touches: Record<PeerMessage['kind'], 'promises' | 'rollouts' | 'what is shown' | 'a look at the own file'> = {
	greeting: 'rollouts',
	prepare: 'promises',
	promise: 'promises',
	nack: 'promises',
	heartbeat: 'promises',
	handover: 'promises',
	report: 'rollouts',
	store: 'rollouts',
	restart: 'rollouts',
	forward: 'rollouts',
	ended: 'rollouts',
	look: 'a look at the own file',
	looked: 'a look at the own file',
	inquiry: 'what is shown',
	ongoing: 'rollouts',
	answer: 'what is shown',
	view: 'what is shown',
	check: 'a look at the own file',
	checked: 'a look at the own file',
};

test('a peer has no word for users, files, commands or configuration: every message is in this list, and fields beyond it are refused', () => {
	for (const kind of Object.keys(touches))
		assert.ok(
			peerMessages.some((message) => message.kind === kind),
			kind,
		);
	for (const kind of ['operation', 'add_user', 'exec', 'configure', 'set_status'])
		assert.equal(peerMessage.safeParse({ kind, operation: 'add_user' }).success, false);
	for (const message of peerMessages)
		assert.equal(peerMessage.safeParse({ ...message, command: 'x', script: 'y' }).success, false, message.kind);
});
