/** What a member of the fleet can do at most that has a proper certificate and wants ill: SECURITY.md says it in words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { incoherence } from '../../../src/fleet/links/message-invariants.js';
import { highestCounter, peerMessage, type FleetMessage } from '../../../src/fleet/messages.js';
import { parseFrame } from '../../../src/fleet/links/handshake.js';
import { fileBytesMax } from '../../../src/fleet/shell/record-log.js';
import { operations } from '../../../src/operations/table.js';
import { entriesOf } from '../../../src/fleet/core/durable.js';
import { firstFlags } from '../../../src/rollout/records.js';
import type { PeerMessage } from '../../../src/fleet/core/events.js';
import type { RolloutSpec, RolloutView } from '../../../src/rollout/types.js';
import { SimFleet } from '../../support/rollout/sim-fleet.js';
import { peerMessages, queryMessages } from '../../support/fleet/wire-samples.js';

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
		{ kind: 'view_change', epoch: forgedBy, number: 2, rollout: id, base: 1, change: { nodes: [{ node: 'nobody' }] } },
		{ kind: 'view_change', epoch: forgedBy, number: 3, rollout: id, base: 1, change: { nodes: [], order: [[0, 900]] } },
		{ kind: 'view_change', epoch: forgedBy, number: 4, rollout: 'invented', base: 0, change: { nodes: [] } },
		{ kind: 'view_wanted', rollout: 'invented' },
	);
	assert.equal(fleet.view('beta', id)?.nodes.length, 3, 'a change that fits no view changes none');
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
	const flags = firstFlags(forgedBy);
	const { version } = flags;
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

/** The message with every counter of an epoch in it raised. */
const raised = (message: PeerMessage, counter: number): string =>
	JSON.stringify(message, (_key, value: unknown) =>
		typeof value === 'object' && value !== null && 'counter' in value ? { ...value, counter } : value,
	);

test('an epoch that no fleet can have reached is refused, wherever it stands', () => {
	const carrying = peerMessages.filter((message) => JSON.stringify(message).includes('"counter"'));
	assert.ok(carrying.length > 12, `${carrying.length} kinds`);
	for (const message of carrying) {
		for (const counter of [Number.MAX_SAFE_INTEGER, highestCounter(Date.now() + 60_000)]) {
			const parsed = parseFrame(peerMessage, raised(message, counter));
			assert.match(parsed.ok ? 'taken' : parsed.reason, /counter: an epoch is higher than any/, message.kind);
		}
		assert.equal(parseFrame(peerMessage, raised(message, highestCounter(Date.now()))).ok, true, message.kind);
	}
});

test('under the highest epoch that a hostile member can bring in, rollouts of the fleet go on', () => {
	const fleet = fresh();
	const wallMs = Date.now();
	const top: PeerMessage = {
		kind: 'heartbeat',
		epoch: { counter: highestCounter(wallMs), node: 'gamma' },
		number: 1,
		live: false,
	};
	hostile(fleet, top);
	fleet.sent.length = 0;
	const next = fleet.ask('alpha');
	assert.equal(next.ok, true, JSON.stringify(next));
	fleet.untilState('alpha', next.view?.id ?? '', 'completed');
	assert.ok(fleet.sent.some(({ message }) => message.kind === 'prepare' && message.epoch.counter > top.epoch.counter));
	for (const { message } of fleet.sent) {
		// A moment later the clocks allow what the fleet made meanwhile.
		const above = JSON.stringify(message).matchAll(/"counter":(\d+)/g);
		for (const [, counter] of above) assert.ok(Number(counter) <= highestCounter(wallMs + 1), message.kind);
	}
});

test('a coordinator speaks under its own epoch alone, and tells no rollout under a lower epoch than that has', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	const spec = specOf(fleet, id);
	const view = fleet.view('beta', id);
	assert.ok(view);
	const flags = firstFlags({ counter: 1_001, node: 'gamma' });
	const report = peerMessages.find((one) => one.kind === 'promise')?.report;
	assert.ok(report);
	const newer = [{ spec, flags }];
	const own = firstFlags(forgedBy);
	const greeting = peerMessages.find((one) => one.kind === 'greeting');
	assert.ok(greeting);
	const said: [PeerMessage, string, RegExp | null][] = [
		[{ kind: 'heartbeat', epoch: forgedBy, number: 1, live: true }, 'gamma', null],
		[{ kind: 'heartbeat', epoch: forgedBy, number: 1, live: true }, 'beta', /coordinator of an epoch of gamma/],
		[{ kind: 'view', epoch: forgedBy, number: 1, view }, 'beta', /coordinator of an epoch of gamma/],
		[
			{ kind: 'view_change', epoch: forgedBy, number: 1, rollout: 'r1', base: 0, change: { nodes: [] } },
			'beta',
			/coordinator of an epoch of gamma/,
		],
		[{ kind: 'store', epoch: forgedBy, open: [{ spec, flags: own }], ended: [] }, 'gamma', null],
		[{ kind: 'store', epoch: forgedBy, open: newer, ended: [] }, 'gamma', /lower epoch than its own/],
		[{ kind: 'promise', epoch: forgedBy, report, open: newer, ended: [] }, 'beta', /lower epoch than its own/],
		[{ ...greeting, promised: forgedBy, catchUp: { open: newer, ended: [] } }, 'beta', /lower epoch than its own/],
		[{ kind: 'ended', endings: [{ rollout: 'another', epoch: forgedBy, view }] }, 'gamma', /shows another rollout/],
	];
	for (const [message, from, fault] of said) {
		if (fault === null) assert.equal(incoherence(from, message), null, message.kind);
		else assert.match(incoherence(from, message) ?? '', fault, message.kind);
	}
});

test('no id and no node has a name that every object has: such a word would end the core, at every start anew', () => {
	for (const name of Object.getOwnPropertyNames(Object.prototype)) {
		for (const message of peerMessages) {
			const renamed = JSON.stringify(message).replace(/"(r1|t1)"/g, JSON.stringify(name));
			if (renamed === JSON.stringify(message)) continue;
			assert.equal(parseFrame(peerMessage, renamed).ok, false, `${message.kind} ${name}`);
		}
	}
	for (const message of peerMessages.filter((one) => 'epoch' in one)) {
		const renamed = { ...message, epoch: { counter: 1, node: 'constructor' } };
		assert.equal(peerMessage.safeParse(renamed).success, false, message.kind);
	}
});

test('rollouts that a hostile coordinator invents without end are not kept without end, and give way to a new one', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	const spec = specOf(fleet, id);
	const view = fleet.view('beta', id);
	assert.ok(view);
	fleet.untilState('alpha', id, 'completed');
	const flags = { ...firstFlags(forgedBy), halted: 'forged' };
	const invented = Array.from({ length: 200 }, (_, number) => ({ spec: { ...spec, id: `forged-${number}` }, flags }));
	hostile(fleet, { kind: 'store', epoch: forgedBy, open: invented, ended: [] });
	for (let number = 0; number < 200; number++)
		hostile(fleet, { kind: 'view', epoch: forgedBy, number: 1, view: { ...view, id: `unknown-${number}` } });
	const kept = fleet.node('beta').core;
	assert.ok(kept && kept.durable.open.length < 40, `${kept?.durable.open.length} rollouts are kept`);
	assert.ok(Object.keys(kept.views).length < 40, `${Object.keys(kept.views).length} views are kept`);
	fleet.run(60_000);
	const next = fleet.ask('beta');
	assert.equal(next.ok, true, JSON.stringify(next));
	fleet.untilState('alpha', next.view?.id ?? '', 'completed');
});

test('under a forged change of members that nobody can end a node still rolls itself', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	const spec = { ...specOf(fleet, id), id: 'forged', service: 'clustering_config' as const };
	fleet.untilState('alpha', id, 'completed');
	const next = { membersNext: [{ name: 'nobody', zone: null }], memberHashNext: 'nobody' };
	const flags = { ...firstFlags(forgedBy), halted: 'forged' };
	hostile(fleet, { kind: 'store', epoch: forgedBy, open: [{ spec: { ...spec, ...next }, flags }], ended: [] });
	fleet.run(60_000);
	assert.equal(fleet.ask('beta').ok, false);
	const own = fleet.ask('alpha', { replicated: false });
	assert.equal(own.ok, true, JSON.stringify(own));
	fleet.untilState('alpha', own.view?.id ?? '', 'completed');
});

test('endings that a hostile member makes long do not outgrow the file that they are kept in', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	const view = completed(fleet.untilState('alpha', id, 'completed'));
	const reason = 'x'.repeat(1024 * 1024);
	for (let number = 0; number < 60; number++) {
		const rollout = `forged-${number}`;
		hostile(fleet, { kind: 'ended', endings: [{ rollout, epoch: forgedBy, view: { ...view, id: rollout, reason } }] });
	}
	const { durable } = fleet.node('beta').core ?? {};
	assert.ok(durable);
	assert.ok(JSON.stringify(entriesOf(durable)).length < fileBytesMax / 4);
	assert.ok(
		durable.ended.some(({ rollout }) => rollout === 'forged-59'),
		'the newest are kept',
	);
});

/** Every message that there is, and what it touches: a new one does not compile without a line here. */
const touches: Record<
	FleetMessage['kind'],
	'promises' | 'rollouts' | 'what is shown' | 'a look at the own file' | 'what the caller’s role may see or set'
> = {
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
	view_change: 'what is shown',
	view_wanted: 'what is shown',
	check: 'a look at the own file',
	checked: 'a look at the own file',
	query: 'what the caller’s role may see or set',
	query_part: 'what the caller’s role may see or set',
	query_more: 'what the caller’s role may see or set',
	query_end: 'what the caller’s role may see or set',
	query_cancel: 'what the caller’s role may see or set',
};

test('a peer has no word for users, files, commands or configuration: every message is in this list, and fields beyond it are dropped before anything reads them', () => {
	const messages = [...peerMessages, ...queryMessages];
	for (const kind of Object.keys(touches))
		assert.ok(
			messages.some((message) => message.kind === kind),
			kind,
		);
	for (const kind of ['operation', 'exec', 'configure', ...operations.map(({ name }) => name)])
		assert.equal(peerMessage.safeParse({ kind, operation: 'add_user' }).success, false);
	for (const message of messages)
		assert.deepEqual(peerMessage.parse({ ...message, command: 'x', script: 'y' }), message, message.kind);
});
