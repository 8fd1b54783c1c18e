/**
 * One decision of a coordinator, alpha, about one rollout of three nodes: what it knows of each goes in as a few words, what it
 * decides comes out as lines. No engine, no fleet, no time.
 */
import type { Command, Coordination } from '../../../src/coordination/port.js';
import { advanceDrive } from '../../../src/rollout/controller/drive.js';
import { type Drive, newDrive } from '../../../src/rollout/controller/state.js';
import type { OpenRollout, Report, RolloutBodies, RolloutFlags } from '../../../src/rollout/messages.js';
import type { Turn } from '../../../src/rollout/outbox.js';
import { type CoreState, emptyMemory } from '../../../src/rollout/state.js';
import { type TargetStatus, targetsOf } from '../../../src/rollout/targets/targets.js';
import type {
	NodeRecord,
	NodeState,
	Readiness,
	RecordState,
	RolloutSpec,
	RolloutView,
} from '../../../src/rollout/types.js';
import { haltText } from '../../../src/rollout/views/text.js';
import { specFor } from './spec.js';
import { emptyView, type ViewNode } from '../../../src/rollout/views/view-parts.js';

export const now = 100_000;
const epoch = { counter: 3, node: 'alpha' };
const version = { epoch, n: 1 };
const names = ['alpha', 'beta', 'gamma'] as const;
export type Name = (typeof names)[number];

const ready: Readiness = { apps: [{ app: 'web', wanted: 2, healthy: 2 }], availability: null, draining: false };
export const down: Readiness = { ...ready, apps: [{ app: 'web', wanted: 2, healthy: 1 }] };

/** What is known of a node; left out: it was heard, is ready, knows the rollout and has had no step. */
export interface Known {
	/** false: it has not answered under this lease. */
	reported?: boolean;
	heard?: boolean;
	readiness?: Readiness;
	record?: { state: RecordState; attempt?: number; proven?: boolean };
	/** It was granted a step; `begun`: and has answered that it runs. */
	grant?: { attempt?: number; begun?: boolean };
	overdue?: boolean;
	/** As the last coordinator showed it. */
	shown?: { state: NodeState; attempt?: number; reason?: string };
	/** An operator has ended the rollout there alone. */
	endedHere?: string;
	/** It has not stored this version of the rollout. */
	behind?: boolean;
}

export interface Situation extends Partial<Record<Name, Known>> {
	spec?: Partial<RolloutSpec>;
	flags?: Partial<RolloutFlags>;
	/** Of the coordination: false: no majority has stored this version. */
	confirmed?: boolean;
	majority?: boolean;
	/** A step was proven so many ms ago. */
	backAgoMs?: number;
	/** Nothing has run for so many ms. */
	idleMs?: number;
}

function openRollout({ spec, flags }: Situation): OpenRollout {
	return {
		spec: specFor(names, spec),
		flags: { version, attempt: 1, skipped: [], left: [], paused: false, aborting: null, halted: null, ...flags },
	};
}

/** Its evidence proves it back, unless `proven` is false. */
function recordOf(name: Name, { state, attempt = 1, proven = true }: NonNullable<Known['record']>): NodeRecord {
	const before = { boot: 1, workers: [{ id: 'web-1', pid: 10, started: 1 }], links: [], configHash: null };
	const workers = [{ id: 'web-2', pid: 20, started: 2, proven, joined: true }];
	const isOver = state !== 'restarting' && state !== 'none' && state !== 'lost';
	const outcome = state === 'back' ? 'back' : state === 'refused' ? 'refused' : 'failed';
	const result = {
		outcome,
		before,
		after: { ...before, boot: 2, configHash: 'x', workers },
		wanted: 1,
		oldGone: true,
		cutOff: 0,
		reason: `${name} says why`,
	} as const;
	const times = { startedAt: 1, endedAt: isOver ? 2 : null };
	return { rollout: 'r1', state, begun: 1, epoch, attempt, ...times, before, result: isOver ? result : null };
}

function reportOf(name: Name, known: Known, { flags }: OpenRollout): Report {
	const records = known.record ? [recordOf(name, known.record)] : [];
	return {
		boot: 1,
		sequence: 1,
		echo: 1,
		memberHash: 'abc',
		have: known.behind ? [] : [{ rollout: 'r1', version: flags.version }],
		ended: [],
		readiness: known.readiness ?? ready,
		out: records.some((one) => ['restarting', 'failed'].includes(one.state)) ? ['r1'] : [],
		records,
		progress: null,
		...(known.endedHere === undefined ? {} : { endedHere: [{ rollout: 'r1', reason: known.endedHere }] }),
	};
}

const shownNode = (node: Name, { state, attempt = 1, reason }: NonNullable<Known['shown']>): ViewNode => ({
	node,
	state,
	attempt,
	before: null,
	after: null,
	started_at: state === 'pending' ? null : 1,
	back_at: state === 'back' ? 2 : null,
	reason: reason ?? null,
});

class Decision implements Turn {
	readonly now = now;
	readonly wall = now;
	readonly effects: Turn['effects'];
	readonly facts: Turn['facts'];
	showing = false;
	readonly lines: string[] = [];
	readonly drive: Drive = newDrive(epoch);
	readonly open: OpenRollout;
	readonly state: CoreState;

	constructor(readonly situation: Situation) {
		this.open = openRollout(situation);
		this.effects = { push: () => 0 };
		this.facts = {
			push: (fact) => {
				if (fact.kind === 'order') this.lines.push('alpha restarts');
			},
		};
		const own = situation.alpha ?? {};
		const { records, readiness } = reportOf('alpha', own, this.open);
		const endedHere =
			own.endedHere === undefined ? [] : [{ rollout: 'r1', view: { reason: own.endedHere } as RolloutView }];
		this.state = {
			...emptyMemory(),
			coordination: this.#coordination(),
			settings: {
				self: 'alpha',
				clustered: true,
				members: this.open.spec.members,
				memberHash: 'abc',
				protocol: { min: 1, max: 2 },
				leaseMs: 900,
				deadlineMs: 60_000,
				waitBetweenMs: 0,
				maxUnavailable: 1,
				onFailure: 'halt',
			},
			members: this.open.spec.members,
			memberHash: 'abc',
			durable: { open: [this.open], ended: [], endedHere, records, unfinished: [] },
			readiness,
			timers: { show: null },
			drive: this.drive,
			views: this.#shown(),
		};
		this.#fillDrive();
	}

	#shown(): CoreState['views'] {
		const nodes = names.flatMap((name) => {
			const { shown } = this.situation[name] ?? {};
			return shown ? [shownNode(name, shown)] : [];
		});
		if (nodes.length === 0) return {};
		return { r1: { epoch, number: 1, view: { ...emptyView(this.open.spec, 'gamma'), nodes } } };
	}

	#fillDrive(): void {
		const { drive, situation } = this;
		Object.assign(drive, { rollout: 'r1', openedHere: true });
		if (situation.backAgoMs !== undefined) drive.backAt = now - situation.backAgoMs;
		if (situation.idleMs !== undefined) drive.idleSince = now - situation.idleMs;
		for (const name of names) {
			const { grant, overdue } = situation[name] ?? {};
			const attempt = grant?.attempt ?? 1;
			if (grant) drive.grants[name] = { attempt, version, begun: grant.begun ?? false };
			if (grant) drive.deadlines[name] = { attempt, at: overdue ? now - 1 : now + 60_000 };
			if (overdue) drive.overdue[name] = attempt;
		}
	}

	#coordination(): Coordination<RolloutBodies> {
		const { situation, open } = this;
		const of = (name: string): Known => situation[name as Name] ?? {};
		const isHeard = (name: string): boolean => name === 'alpha' || (of(name).heard ?? of(name).reported ?? true);
		return {
			leads: () => epoch,
			asksToStart: () => false,
			follows: () => null,
			expectsLeader: () => false,
			takeoverAt: () => null,
			fence: () => epoch,
			votes: () => true,
			unmet: () => [],
			isMajority: () => true,
			minoritySince: () => null,
			whoIsNotHeard: () => '',
			whyNotHeard: () => null,
			hasOtherMembers: () => false,
			isOfThisFleet: () => true,
			changingItself: () => undefined,
			peer: () => ({ refused: null, protocolMax: 2, readiness: ready }),
			peers: () => ['beta', 'gamma'],
			isLive: () => situation.majority ?? true,
			hearsMajority: () => situation.majority ?? true,
			heard: () => names.filter(isHeard),
			isHeard,
			report: (name) =>
				name === 'alpha' || of(name).reported === false ? undefined : reportOf(name as Name, of(name), open),
			knows: (_entry, name) => !of(name).behind,
			isConfirmed: () => situation.confirmed ?? true,
			isSpreading: () => false,
			successor: () => null,
		};
	}

	keep(): void {}

	post(to: string, message: { kind: string }): void {
		if (message.kind === 'restart') this.lines.push(`${to} restarts`);
	}

	note(event: string): void {
		if (event === 'rollout_held') this.lines.push('holds');
	}

	arm(): void {}

	command(command: Command<RolloutBodies>): boolean {
		if (command.kind === 'put') {
			const { halted, left } = command.entry.flags;
			if (halted !== null) this.lines.push(`halts: ${haltText(command.entry.flags)}`);
			else if (left.length > 0) this.lines.push(`${left} left`);
		} else if (command.kind === 'close') {
			const { state, reason } = command.ending.view;
			this.lines.push(reason === null ? state : `${state}: ${reason}`);
		} else if (command.kind === 'transfer') this.lines.push(`hands over to ${command.to[0]}`);
		return true;
	}
}

/** How the node stands, as alpha sees it. */
export function targetIn(situation: Situation, node: Name): TargetStatus {
	const { state, drive, open } = new Decision(situation);
	const target = targetsOf(state, drive, open, now).find((one) => one.node === node);
	if (!target) throw new Error(`${node} is no target`);
	return target;
}

/** What alpha does next, a line each. */
export function decidedIn(situation: Situation): string[] {
	const decision = new Decision(situation);
	advanceDrive(decision, decision.drive, situation.majority ?? true);
	return decision.lines;
}
