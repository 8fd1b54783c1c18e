/** What each command of the port does, on every engine: of a leader, and of a node that does not lead. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareEpochs } from '../../../src/coordination/epoch.js';
import { type Command, type Ending, hasEnded, openOf } from '../../../src/coordination/port.js';
import { Quorum } from '../../../src/coordination/quorum/engine.js';
import type { RolloutBodies } from '../../../src/rollout/messages.js';
import { freshEntry, Loop, type TestedEngine } from '../../support/coordination/loop.js';
import { Register, ServiceEngine } from '../../support/coordination/service-engine.js';

const own = ['alpha', 'beta'];
const founding = {
	self: 'alpha',
	protocol: { min: 1, max: 2 },
	leaseMs: 900,
	members: [{ name: 'alpha', zone: null }],
	memberHash: own.join('+'),
};
/** Entries are of two members, so that they need a lease; the engine's own fleet has one, so that it gets it at once. */
const entry = freshEntry('r1', own);
const view = {} as RolloutBodies['view'];
const ending: Ending<RolloutBodies> = { rollout: 'r1', epoch: null, view };

const engines: readonly { name: string; create: () => TestedEngine }[] = [
	{ name: 'the own majority', create: () => new Quorum<RolloutBodies>(founding) },
	{ name: 'a register', create: () => new ServiceEngine(new Register(), founding) },
];

const ofLeaders: readonly Command<RolloutBodies>[] = [
	{ kind: 'put', entry },
	{ kind: 'close', ending },
	{ kind: 'transfer', to: ['beta'] },
	{ kind: 'call_off' },
	{ kind: 'resign' },
];

for (const { name, create } of engines)
	describe(name, () => {
		const leading = (): Loop => {
			const loop = new Loop(create());
			assert.equal(loop.command({ kind: 'campaign', purpose: 'start', rollout: 'r1' }), true);
			return loop;
		};

		for (const command of ofLeaders)
			test(`${command.kind} of a node that does not lead changes nothing`, () => {
				const loop = new Loop(create());
				assert.equal(loop.command(command), false);
				assert.deepEqual([loop.stored, loop.facts, loop.sent], [[], [], []]);
			});

		test('a campaign that is won tells the epoch, above all that was promised, and it is fenced', () => {
			const loop = leading();
			const [fact] = loop.facts;
			assert.ok(fact?.kind === 'leading');
			assert.deepEqual(fact.entries, []);
			assert.deepEqual(loop.engine.coordination.leads(), fact.epoch);
			assert.equal(compareEpochs(loop.engine.coordination.fence(), fact.epoch), 0);
		});

		test('put stores the next version under the own epoch, before it is called confirmed', () => {
			const loop = leading();
			const versions = [1, 2].map(() => {
				assert.equal(loop.command({ kind: 'put', entry }), true);
				const stored = openOf(loop, 'r1');
				assert.ok(stored);
				assert.equal(loop.engine.coordination.knows(stored, 'alpha'), true);
				return stored.flags.version;
			});
			const epoch = loop.engine.coordination.leads();
			assert.deepEqual(
				versions.map((version) => version.epoch),
				[epoch, epoch],
			);
			assert.ok((versions[1]?.n ?? 0) > (versions[0]?.n ?? 0));
		});

		test('close stores the ending under the own epoch, tells it, and wins over what is open', () => {
			const loop = leading();
			loop.command({ kind: 'put', entry });
			assert.equal(loop.command({ kind: 'close', ending }), true);
			assert.deepEqual(
				loop.facts.map((fact) => fact.kind),
				['closed'],
			);
			assert.equal(openOf(loop, 'r1'), undefined);
			assert.deepEqual(loop.durable.ended.at(-1)?.epoch, loop.engine.coordination.leads());
		});

		test('step_down gives up the lease and tells it', () => {
			const loop = leading();
			assert.equal(loop.command({ kind: 'step_down' }), true);
			assert.deepEqual(loop.facts, [{ kind: 'lost' }]);
			assert.equal(loop.engine.coordination.leads(), null);
		});

		test('resign lets go once a majority knows what ended, and the next epoch is above', () => {
			const loop = leading();
			const first = loop.engine.coordination.leads();
			loop.command({ kind: 'put', entry });
			loop.command({ kind: 'close', ending });
			loop.command({ kind: 'resign' });
			assert.equal(loop.engine.coordination.leads(), null);
			loop.command({ kind: 'campaign', purpose: 'start', rollout: 'r2' });
			const next = loop.engine.coordination.leads();
			assert.ok(first && next && compareEpochs(next, first) > 0);
		});

		test('keep stores an ending without a lease, and tells it', () => {
			const loop = new Loop(create());
			assert.equal(loop.command({ kind: 'keep', ending }), true);
			assert.equal(hasEnded(loop, 'r1'), true);
			assert.deepEqual(loop.facts, [{ kind: 'closed', ending }]);
		});

		test('withdraw takes a campaign back, and is told nothing', () => {
			const loop = new Loop(create());
			assert.equal(loop.command({ kind: 'withdraw' }), true);
			assert.deepEqual([loop.facts, loop.engine.coordination.asksToStart()], [[], false]);
		});

		test('asking changes nothing: the same question has the same answer', () => {
			const loop = leading();
			loop.command({ kind: 'put', entry });
			const stored = openOf(loop, 'r1');
			assert.ok(stored);
			const answers = (): unknown[] => {
				const { coordination } = loop.engine;
				return [
					coordination.leads(),
					coordination.asksToStart(),
					coordination.follows(),
					coordination.fence(),
					coordination.votes(),
					coordination.unmet(),
					coordination.isMajority(['alpha']),
					coordination.isMajority([]),
					coordination.isOfThisFleet(stored.spec),
					coordination.peers(),
					coordination.peer('beta'),
					coordination.isLive(loop.now),
					coordination.heard(loop.now),
					coordination.isHeard('alpha', loop.now),
					coordination.knows(stored, 'alpha'),
					coordination.isConfirmed(stored),
					coordination.isSpreading('r1'),
					coordination.successor(),
				];
			};
			const before = JSON.stringify([answers(), loop.durable]);
			assert.equal(JSON.stringify([answers(), loop.durable]), before);
		});
	});

test('report and tell send to the leader and to the peer; admit needs a majority met', () => {
	const three = ['alpha', 'beta', 'gamma'];
	const members = three.map((name) => ({ name, zone: null }));
	const loop = new Loop(new Quorum<RolloutBodies>({ ...founding, members, memberHash: three.join('+') }));
	const link = (node: string): void => {
		const hello = { node, boot: 1, instance: `${node}-i`, process: `${node}-p`, memberHash: three.join('+') };
		loop.input({ kind: 'link_up', hello: { ...hello, protocol: { min: 1, max: 2 } } });
	};
	link('beta');
	assert.equal(loop.command({ kind: 'admit' }), false, 'one of three, with no other met, vouches for nobody');
	loop.command({ kind: 'tell', to: 'beta', endings: [ending] });
	assert.deepEqual(loop.sent, [{ to: 'beta', message: { kind: 'ended', endings: [ending] } }]);
	assert.equal(loop.command({ kind: 'report' }), true);
	assert.deepEqual(loop.sent, [], 'no leader is known yet');
});
