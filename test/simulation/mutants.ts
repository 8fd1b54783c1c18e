/**
 * Each rule of the protocol as the fault that takes it out: patches over the built files, each found exactly once (white
 * space aside), and the invariants that may notice it. `mutant-build.ts` lays them over a copy of the build.
 */
export interface Patch {
	/** Below dist/src, without its ending; of the simulated node, what stands for the workers of a real one. */
	readonly file: string;
	readonly from: string;
	readonly to: string;
}

export interface Mutant {
	/** What holds without the fault. */
	readonly rule: string;
	readonly serves: readonly string[];
	readonly patches: readonly Patch[];
}

export const mutants: Readonly<Record<string, Mutant>> = {
	fence: {
		rule: 'a node refuses commands below its promise',
		serves: ['I1', 'I2', 'I3', 'I4', 'conflict'],
		patches: [
			{
				file: 'rollout/agent/execution',
				from: 'if (compareEpochs(grant.epoch, state.coordination.fence()) < 0) return false;',
				to: '',
			},
			{
				file: 'rollout/agent/execution',
				from: 'if (compareVersions(grant.version, open.flags.version) !== 0) return false;',
				to: '',
			},
			{
				file: 'rollout/controller/drive',
				from: 'return stored !== undefined && compareVersions(stored.version, version) > 0;',
				to: 'return false;',
			},
			{
				file: 'coordination/quorum/promise',
				from: 'if (compareEpochs(epoch, promised) >= 0) return false;',
				to: 'return false;',
			},
		],
	},
	'durable-promise': {
		rule: 'the promise is on disk before the answer',
		serves: ['I4'],
		patches: [
			{
				file: 'fleet/core/turn',
				from: "if (last?.kind === 'store') last.entries.push(...entries);",
				to: "entries = entries.filter((one) => one.kind !== 'promised'); if (entries.length === 0) return; if (last?.kind === 'store') last.entries.push(...entries);",
			},
		],
	},
	'missing-is-down': {
		rule: 'a node that is not heard counts as down',
		serves: ['I1', 'I2'],
		patches: [
			{
				file: 'rollout/targets/budget',
				from: "if (!heard || !standing) return 'is not heard';",
				to: 'if (!heard || !standing) return null;',
			},
		],
	},
	'count-down': {
		rule: 'an unhealthy node counts against the budget',
		serves: ['I2'],
		patches: [{ file: 'rollout/targets/budget', from: 'return whatIsDown(standing.readiness);', to: 'return null;' }],
	},
	'count-out': {
		rule: 'nodes that are out count against the budget',
		serves: ['I1', 'I2'],
		patches: [
			{
				file: 'rollout/targets/budget',
				from: 'const isOut = drive.grants[name] !== undefined || drive.stale[name] !== undefined || isInAnyRecord(standing);',
				to: 'const isOut = false;',
			},
		],
	},
	'count-foreign': {
		rule: "`restarting` in other rollouts' records counts",
		serves: ['I1', 'I2'],
		patches: [
			{
				file: 'rollout/targets/budget',
				from: 'isInAnyRecord(standing);',
				to: '(standing?.out ?? []).includes(drive.rollout);',
			},
		],
	},
	'slot-by-evidence': {
		rule: 'a slot is given back by evidence, never by a timer',
		serves: ['I1', 'I2', 'I8'],
		patches: [
			{
				file: 'rollout/targets/budget',
				from: 'const isOut = drive.grants[name] !== undefined ||',
				to: 'const isOut = drive.overdue[name] !== undefined ? false : drive.grants[name] !== undefined ||',
			},
		],
	},
	proof: {
		rule: 'back is judged by the facts',
		serves: ['I5'],
		patches: [
			{
				file: 'rollout/targets/proof',
				from: "if (!before) return { state: 'failed', reason: 'what ran before was not stored' };",
				to: 'return { state: result.outcome, reason: result.reason };',
			},
		],
	},
	'proof-identity': {
		rule: 'process id and start time, not the process id alone',
		serves: ['I5'],
		patches: [
			{
				file: 'rollout/targets/proof',
				from: 'function sameProcess(a, b) { return a.pid === b.pid && a.started === b.started; }',
				to: 'function sameProcess(a, b) { return a.id === b.id; }',
			},
		],
	},
	'recheck-back': {
		rule: 'nodes that are back must still be ready',
		serves: ['I6'],
		patches: [
			{
				file: 'rollout/targets/blocked-by',
				from: "if (open.spec.service === 'clustering_config') return null;",
				to: 'return null;',
			},
		],
	},
	'halt-on-failure': {
		rule: 'a failed step halts the rollout',
		serves: ['I7', 'I11'],
		patches: [
			{ file: 'rollout/controller/drive', from: 'if (failing.length === 0) return false;', to: 'return false;' },
		],
	},
	'halted-not-completed': {
		rule: 'a rollout with a failed node does not end completed',
		serves: ['I7'],
		patches: [
			{
				file: 'rollout/controller/drive',
				from: "return one.state === 'back' || one.state === 'skipped'; };",
				to: "return one.state === 'back' || one.state === 'skipped' || isFailing(one); };",
			},
		],
	},
	once: {
		rule: 'a node that is restarting or beyond does not begin again',
		serves: ['I3'],
		patches: [{ file: 'rollout/agent/execution', from: 'if (!record) return true;', to: 'return true;' }],
	},
	'durable-record': {
		rule: '`restarting` is on disk before the step begins',
		serves: ['I3'],
		patches: [
			{
				file: 'fleet/core/turn',
				from: "if (last?.kind === 'store') last.entries.push(...entries);",
				to: "entries = entries.filter((one) => one.kind !== 'record' || one.record.state !== 'restarting'); if (entries.length === 0) return; if (last?.kind === 'store') last.entries.push(...entries);",
			},
		],
	},
	'go-forward': {
		rule: 'a step in the middle is taken up after a crash',
		serves: ['I11'],
		patches: [
			{ file: 'rollout/agent/execution', from: 'if (!spec || !record.before) return false;', to: 'return false;' },
		],
	},
	'report-epoch': {
		rule: 'a report counts only with the current epoch',
		serves: ['I2', 'I6', 'I7', 'I9', 'I10'],
		patches: [{ file: 'coordination/quorum/lead', from: 'if (!sameEpoch(epoch, lease.epoch)) return;', to: '' }],
	},
	'report-order': {
		rule: 'a report counts only with a greater (boot, sequence)',
		serves: ['I2', 'I6', 'I7', 'I9', 'I10'],
		patches: [{ file: 'coordination/quorum/lead', from: 'if (!before) return true;', to: 'return true;' }],
	},
	confirm: {
		rule: 'no step before a majority has stored the rollout under the own epoch',
		serves: ['I10'],
		patches: [
			{
				file: 'coordination/quorum/heard',
				from: 'return isMajority(state, { has: (node) => knows(state, open, node) });',
				to: 'return true;',
			},
		],
	},
	gather: {
		rule: 'promises carry the rollouts that have not ended',
		serves: ['I10'],
		patches: [{ file: 'coordination/quorum/campaign', from: 'open: openShared(state),', to: 'open: [],' }],
	},
	majority: {
		rule: 'the lease needs a majority',
		serves: ['quorum'],
		patches: [
			{
				file: 'coordination/quorum/members/voters',
				from: 'return count * 2 > group.length;',
				to: 'return true;',
			},
		],
	},
	takeover: {
		rule: 'somebody takes over when the coordinator is gone',
		serves: ['I11'],
		patches: [
			{
				file: 'coordination/quorum/campaign',
				from: 'if (state.lease !== null || !state.durable.voting) return null;',
				to: 'return null;',
			},
		],
	},
	deadline: {
		rule: "a step's deadline halts",
		serves: ['I11', 'I7'],
		patches: [{ file: 'rollout/controller/drive', from: 'drive.overdue[name] ??= deadline.attempt;', to: '' }],
	},
	'idle-deadline': {
		rule: 'waiting without a step halts',
		serves: ['I11'],
		patches: [
			{
				file: 'rollout/controller/drive',
				from: 'if (now - drive.idleSince < open.spec.deadlineMs) return;',
				to: 'return;',
			},
		],
	},
	'majority-answer': {
		rule: "an operator's word is answered after a majority stored it",
		serves: ['answer'],
		patches: [
			{ file: 'rollout/requests/operator-command', from: 'if (!state.coordination.isConfirmed(now)) return;', to: '' },
		],
	},
	'ending-wins': {
		rule: 'an ending wins over open',
		serves: ['I11'],
		patches: [
			{
				file: 'coordination/quorum/members/admission',
				from: "if (endings.length > 0) turn.send(from, { kind: 'ended', endings });",
				to: '',
			},
			{
				file: 'coordination/quorum/replicate',
				from: 'if (hasEnded(state, spec.id)) { tellEnded',
				to: 'if (false) { tellEnded',
			},
			{
				file: 'coordination/quorum/follow',
				from: 'storeEndings(turn, message.endings);',
				to: 'message.endings = []; storeEndings(turn, message.endings);',
			},
		],
	},
	conflict: {
		rule: 'a running rollout refuses another one',
		serves: ['conflict'],
		patches: [
			{
				file: 'rollout/requests/request',
				from: 'if (running && running.spec.id !== id && running !== change) return conflictWith(running, turn);',
				to: '',
			},
			{
				file: 'rollout/requests/inquiry',
				from: 'if (!running || state.coordination.leads()) return false;',
				to: 'return false;',
			},
			{ file: 'rollout/requests/start', from: 'return active.flags.halted === null || halfWay;', to: 'return false;' },
			{ file: 'coordination/quorum/campaign', from: "if (message.purpose === 'start') {", to: 'if (false) {' },
			{ file: 'rollout/agent/local-rollouts', from: 'if (running) return conflictWith(running, turn);', to: '' },
		],
	},
	'coordinator-last': {
		rule: 'the coordinator goes last',
		serves: ['order'],
		patches: [
			{
				file: 'rollout/controller/drive',
				from: 'if (name !== self || budget.used.has(name)) return false;',
				to: 'return false;',
			},
			{
				file: 'rollout/controller/drive',
				from: 'return orderOf(members, unhealthy, turn.state.settings.self);',
				to: 'return orderOf(members, unhealthy, null);',
			},
		],
	},
	'hand-over': {
		rule: 'a coordinator gives its lease away before it restarts itself',
		serves: ['hand-over'],
		patches: [
			{
				file: 'rollout/controller/drive',
				from: "return open.spec.type === 'restart' && next === turn.state.settings.self;",
				to: 'return false;',
			},
		],
	},
	stranger: {
		rule: 'a node that lost its state does not vote',
		serves: ['I4', 'I13'],
		patches: [
			{
				file: 'rollout/agent/execution',
				from: 'if (!state.coordination.votes()) return; if (hasEnded',
				to: 'if (hasEnded',
			},
			{ file: 'coordination/quorum/heard', from: 'if (link.stranger) return false;', to: '' },
			{
				file: 'coordination/quorum/campaign',
				from: 'return !leftBy(state) && state.durable.voting;',
				to: 'return !leftBy(state);',
			},
			{ file: 'coordination/quorum/campaign', from: "if (!state.durable.voting) return { kind: 'stranger' };", to: '' },
			{ file: 'coordination/quorum/campaign', from: 'if (state.links[from]?.stranger) return;', to: '' },
			{
				file: 'coordination/quorum/members/admission',
				from: "turn.note('peer_lost_state', { node: state.settings.self }); turn.store(",
				to: 'return; turn.store(',
			},
			{
				file: 'rollout/requests/request',
				from: 'if (state.coordination.votes()) return null; const missing',
				to: 'return null; const missing',
			},
		],
	},
	pause: {
		rule: 'a paused rollout begins no step',
		serves: ['word'],
		patches: [{ file: 'rollout/controller/drive', from: 'if (open.flags.paused) return;', to: '' }],
	},
	'wait-between': {
		rule: "some time passes between a node's evidence and the next step",
		serves: ['wait'],
		patches: [{ file: 'rollout/controller/drive', from: 'if (isTooEarly) return true;', to: '' }],
	},
	'check-first': {
		rule: 'no step before every file has been looked at',
		serves: ['check'],
		patches: [
			{
				file: 'rollout/requests/member-change',
				from: 'const checks = Object.entries(start.checks)',
				to: 'return null; const checks = Object.entries(start.checks)',
			},
		],
	},
	'catch-up': {
		rule: 'before it votes, such a node takes over what it may have helped to store',
		serves: ['I10'],
		patches: [
			{
				file: 'coordination/quorum/members/admission',
				from: 'storeEndings(turn, message.catchUp.ended); storeOpen(turn, from, message.catchUp.open);',
				to: '',
			},
		],
	},
	'lost-turn': {
		rule: 'it takes no turn in a rollout in which it may have had it, before an operator says so',
		serves: ['I3'],
		patches: [
			{
				file: 'rollout/targets/targets',
				from: "if (isForgotten) return { state: 'failed'",
				to: "if (false) return { state: 'failed'",
			},
			{
				file: 'coordination/quorum/members/admission',
				from: "if (isFirst && message.stranger) turn.tell({ kind: 'caught_up', entries: message.catchUp.open });",
				to: '',
			},
		],
	},
	'exempt-budget': {
		rule: 'the exemption for an unhealthy target never lets more than B be out',
		serves: ['I1', 'I2'],
		patches: [
			{
				file: 'rollout/targets/order',
				from: 'return maybeOut.size + (maybeOut.has(target) ? 0 : 1) <= maxUnavailable;',
				to: 'return true;',
			},
		],
	},
	'unlive-steps-down': {
		rule: 'a coordinator that does not hear a majority lets its lease run out',
		serves: ['I11'],
		patches: [
			{
				file: 'coordination/quorum/heard',
				from: 'return now - lease.majorityAt < state.settings.leaseMs;',
				to: 'return true;',
			},
		],
	},
	joint: {
		rule: 'a change of members needs a majority of both',
		serves: ['quorum'],
		patches: [
			{
				file: 'coordination/quorum/members/voters',
				from: 'const changes = mayChange ? changesOf([...openShared(state), ...told], left) : [];',
				to: 'const changes = [];',
			},
		],
	},
	'leaver-votes-not': {
		rule: 'a node that has left by a change of members votes for nobody',
		serves: ['quorum'],
		patches: [
			{
				file: 'coordination/quorum/campaign',
				from: 'return !leftBy(state) && state.durable.voting;',
				to: 'return state.durable.voting;',
			},
			{
				file: 'coordination/quorum/campaign',
				from: "if (gone) return { kind: 'left', rollout: gone.spec.id };",
				to: '',
			},
		],
	},
	'stayers-drive': {
		rule: 'a change of members is coordinated by nodes that are members before and after it',
		serves: ['stayers'],
		patches: [
			{
				file: 'rollout/requests/request',
				from: 'if (!change || isAtRestHere(state, change.spec.id)) return null;',
				to: 'return null;',
			},
			{ file: 'coordination/quorum/campaign', from: 'if (changingItself(state)) {', to: 'if (false) {' },
		],
	},
	'member-hash': {
		rule: 'nodes of another fleet, by the hash of its members, neither promise nor count',
		serves: ['members'],
		patches: [
			{ file: 'coordination/quorum/heard', from: 'if (hash === state.memberHash) return true;', to: 'return true;' },
			{
				file: 'coordination/quorum/campaign',
				from: 'if (!message.memberHashes.some((hash) => own.includes(hash)))',
				to: 'if (false)',
			},
		],
	},
	version: {
		rule: 'no word is exchanged without a version of the protocol in common',
		serves: ['version'],
		patches: [
			{
				file: 'coordination/quorum/members/admission',
				from: 'if (theirs.max >= own.min && own.max >= theirs.min) return null;',
				to: 'return null;',
			},
		],
	},
	'half-way': {
		rule: 'a change of members that halted half-way is superseded by another one only',
		serves: ['half-way'],
		patches: [
			{
				file: 'rollout/requests/start',
				from: 'return active.flags.halted === null || halfWay;',
				to: 'return active.flags.halted === null;',
			},
		],
	},
	led: {
		rule: 'a rollout is superseded only by who hears a majority that has stored how it stands',
		serves: ['conflict'],
		patches: [
			{
				file: 'rollout/requests/start',
				from: 'if (!state.coordination.hearsMajority(now)) return false; const active = openOf(state, drive.rollout);',
				to: 'return true; const active = openOf(state, drive.rollout);',
			},
		],
	},
	'unhealthy-first': {
		rule: 'targets whose workers are unhealthy go before the others',
		serves: ['order'],
		patches: [
			{
				file: 'rollout/controller/drive',
				from: 'const unhealthy = unhealthyIn(budget);',
				to: 'const unhealthy = new Set();',
			},
		],
	},
	'ended-here': {
		rule: 'a node takes no step of a rollout that an operator has ended on it alone',
		serves: ['ended-here'],
		patches: [
			{
				file: 'rollout/targets/targets',
				from: 'return told?.find((one) => one.rollout === rollout)?.reason ?? null;',
				to: 'return null;',
			},
			{ file: 'rollout/agent/execution', from: 'if (endedHereOf(state, grant.rollout)) return false;', to: '' },
		],
	},
	'gone-for-good': {
		rule: 'a rollout is ended on one node alone only after five leases without a majority',
		serves: ['gone-for-good'],
		patches: [{ file: 'rollout/agent/ended-here', from: 'if (early !== null)', to: 'if (false)' }],
	},
	patience: {
		rule: 'a candidate waits longer for promises after each try in vain',
		serves: ['I11'],
		patches: [
			{
				file: 'coordination/quorum/campaign',
				from: '(state.settings.leaseMs / 3) * Math.min(3, Math.max(1, state.attempts));',
				to: 'state.settings.leaseMs / 3;',
			},
		],
	},
	hold: {
		rule: 'a rollout pauses once hold_after nodes are back',
		serves: ['hold'],
		patches: [
			{ file: 'rollout/controller/drive', from: 'if (isHoldDue(open, targets)) {', to: 'if (false) {' },
			{ file: 'rollout/controller/drive', from: 'if (begun >= room) break;', to: '' },
		],
	},
	'hold-room': {
		rule: 'no more nodes than hold_after begin before the hold, however many may be out',
		serves: ['hold'],
		patches: [{ file: 'rollout/controller/drive', from: 'if (begun >= room) break;', to: '' }],
	},
	'hold-unheard': {
		rule: 'a successor counts a node that it does not hear as one that may have had its turn before the hold',
		serves: ['hold'],
		patches: [
			{
				file: 'rollout/controller/hold',
				from: "!drive.openedHere && hearsay && state === 'pending';",
				to: 'false;',
			},
		],
	},
	selected: {
		rule: 'a node that is not selected is no target, and takes no step',
		serves: ['selected'],
		patches: [
			{
				file: 'rollout/targets/targets',
				from: 'if (!isSelected(open.spec, node)) return untouched(open.spec, node, heard);',
				to: '',
			},
			{
				file: 'rollout/agent/execution',
				from: 'if (!isSelected(open.spec, state.settings.self)) return false;',
				to: '',
			},
		],
	},
	'hook-once': {
		rule: 'a later coordinator does not run a recorded hook again',
		serves: ['I14'],
		patches: [
			{
				file: 'rollout/controller/hooks',
				from: "const result = own?.result ?? { state: 'unknown', detail: null };",
				to: 'if (!own) { forget(turn, known, keeper); continue; } const result = own.result;',
			},
		],
	},
	'hook-recorded': {
		rule: 'a hook runs once a majority has recorded it',
		serves: ['I14'],
		patches: [
			{
				file: 'rollout/controller/hooks',
				from: "if (own?.phase !== 'recorded' || !keeper.isSafe(open)) return;",
				to: "if (own?.phase !== 'recorded') return;",
			},
		],
	},
	'hook-first': {
		rule: 'no node is touched before before_rollout has gone well',
		serves: ['I14'],
		patches: [
			{
				file: 'rollout/controller/hooks',
				from: "return run !== undefined && (run.state === 'done' || run.accepted !== undefined);",
				to: 'return true;',
			},
		],
	},
	'node-hook-once': {
		rule: 'a daemon that died while a hook of its step ran does not run it again',
		serves: ['I14'],
		patches: [
			{
				file: 'rollout/agent/execution',
				from: 'if (!recoverHook(turn, record, parts(turn))) replace(turn, record, { recovered: true });',
				to: "if (record.result || !beginHook(turn, spec, record, 'before_node')) replace(turn, record, { recovered: true });",
			},
		],
	},
	'node-hook-refuses': {
		rule: 'a before_node that failed refuses the turn',
		serves: ['I14'],
		patches: [
			{
				file: 'rollout/agent/hooks',
				from: 'const refused = fault === null ? {} :',
				to: 'const refused = true ? {} :',
			},
		],
	},
	'undo-touched': {
		rule: 'an undo covers the nodes that took the release, and no other',
		serves: ['undo'],
		patches: [
			{
				file: 'rollout/requests/undo',
				from: "if (state === 'back' || state === 'failed' || state === 'restarting') return true;",
				to: 'return true;',
			},
			{
				file: 'rollout/requests/undo',
				from: 'Object.keys(release?.before ?? {}).length === 0;',
				to: 'false;',
			},
		],
	},
	'undo-gone': {
		rule: 'an undo does not open while a node says that it cannot go back',
		serves: ['undo'],
		patches: [
			{
				file: 'rollout/requests/start',
				from: "if (fault) answerRefused(turn, { code: 'unavailable', message: fault, extra: {} });",
				to: 'if (false) return;',
			},
		],
	},
	'undo-known': {
		rule: 'a rollout ends undone once a majority has stored what undoes it',
		serves: ['undo'],
		patches: [
			{
				file: 'rollout/controller/outcome',
				from: 'if (!undone || !state.coordination.isConfirmed(undo)) return;',
				to: 'if (!undone) return;',
			},
		],
	},
	'undo-of-undo': {
		rule: 'an undo is not undone by the fleet',
		serves: ['undo'],
		patches: [
			{
				file: 'rollout/requests/request',
				from: 'return { reverts: request.reverts, putBack: undo?.putBack ?? {} };',
				to: 'return { reverts: request.reverts, putBack: undo?.putBack ?? {}, revertAs: revertAs ?? undefined };',
			},
		],
	},
	'revert-due': {
		rule: 'a rollout that is to be undone is undone',
		serves: ['I11'],
		patches: [
			{
				file: 'rollout/controller/revert',
				from: 'const id = open ? revertedBy(open) : null;',
				to: 'const id = null;',
			},
		],
	},
	'put-back': {
		rule: 'a step of an undo starts what that puts back',
		serves: ['I12'],
		patches: [
			{
				file: 'rollout/agent/execution',
				from: "turn.effects.push({ kind: 'run_step', spec, attempt, before, ...how });",
				to: "turn.effects.push({ kind: 'run_step', spec: { ...spec, putBack: undefined }, attempt, before, ...how });",
			},
		],
	},
	'pin-kept': {
		rule: 'a node knows after a crash what it was put back on',
		serves: ['I12'],
		patches: [
			{
				file: '../test/support/rollout/fake-executor',
				from: 'daemonDied() { this.#run += 1; }',
				to: 'daemonDied() { this.#run += 1; this.kept.lose(); }',
			},
		],
	},
	'gone-refused': {
		rule: 'a node does not go back to a release that is gone',
		serves: ['I12'],
		patches: [
			{
				file: '../test/support/rollout/fake-releases',
				from: "if (this.gone.has(revision)) return 'it is gone';",
				to: '',
			},
		],
	},
};
