/**
 * A worker's lifecycle, as one pure step function. Its pool, the one writer, reports what happened to the worker (events)
 * and keeps the state; everyone else reads. `transitions` is the whole machine:
 *
 *   spawning → starting ⇄ proving ⇄ joining → serving → draining → gone
 *       ↑          └────────┴── exited ──┴────────┘
 *       └─ forked ─ backoff ←────────┘                  any of them → failed (given up)
 */
import type { WorkerIdentity, WorkerState } from '../types.js';

/** When a worker is given up, as OTP's supervisors have it: more than `intensity` crashes within any `periodMs`. */
export interface CrashLoopLimits {
	intensity: number;
	periodMs: number;
}

export type Phase =
	/** Its host was told to start it; no process of it is known yet. */
	| 'spawning'
	/** Its process lives and is not healthy yet. */
	| 'starting'
	/** Healthy behind its gate. */
	| 'proving'
	/** Told to take public connections. */
	| 'joining'
	/** Takes public connections. */
	| 'serving'
	/** Finishes open requests, then exits. */
	| 'draining'
	/** Its process ended; PM2 starts it again. */
	| 'backoff'
	/** Given up. */
	| 'failed'
	/** Forgotten. */
	| 'gone';

export interface WorkerProcess {
	readonly identity: WorkerIdentity;
	/** It answers on its connection. */
	readonly connected: boolean;
}

export interface Lifecycle {
	readonly phase: Phase;
	readonly process: WorkerProcess | null;
	/** Its last answers since it joined were good. */
	readonly healthy: boolean;
	/** PM2's number of it; null when no host knows it (not started yet, or an orphan of a host that died). */
	readonly pmId: number | null;
	/** A replacement proves it and decides on its failures; its app's supervision leaves it alone. */
	readonly inReplacement: boolean;
	/** Proven once with this release: it may join without being told when PM2 restarts it. */
	readonly approved: boolean;
	/** Why it is not as wanted; null when nothing is wrong. */
	readonly trouble: string | null;
	/** Restarts after crashes. */
	readonly restarts: number;
	/** Times of the crashes that still count, oldest first; at most intensity + 1. */
	readonly crashes: readonly number[];
	/** Requests or connections that its drain cut off. */
	readonly cutOff: number;
}

export type LifecycleEvent =
	/** PM2 forked it anew. */
	| { event: 'forked' }
	| { event: 'spawned'; identity: WorkerIdentity }
	/** The process that its host names belongs to someone else. */
	| { event: 'disowned'; detail: string }
	| { event: 'connected' }
	| { event: 'healthy' }
	/** `overlooked`: one that serves may miss so many answers before it counts as unhealthy. */
	| { event: 'unhealthy'; detail: string; overlooked: boolean }
	| { event: 'join_began' }
	| { event: 'join_refused' }
	/** It takes public connections, because it was told to or because it approved itself. */
	| { event: 'joined' }
	| { event: 'approved' }
	| { event: 'drain_began'; detail: string | null }
	| { event: 'drained'; cutOff: number }
	/** Its process ended. `identity` null: its host said so, of a process that was gone before it was seen. */
	| { event: 'exited'; identity: WorkerIdentity | null; detail: string; at: number; limits: CrashLoopLimits }
	/** A host has it in its list. */
	| { event: 'adopted'; pmId: number; restarts: number; approved: boolean }
	/** Its host has it in its list without a process, to be started again. */
	| { event: 'awaits_restart'; detail: string }
	/** No host has it in its list. */
	| { event: 'orphaned' }
	| { event: 'replacement_began' }
	| { event: 'replacement_ended' }
	| { event: 'given_up'; detail: string }
	| { event: 'forgotten' };

type EventName = LifecycleEvent['event'];

/** What the end of a process means, told to everyone concerned. */
export type ExitKind =
	/** It was draining, or given up before. */
	| 'left'
	/** Its replacement decides what follows. */
	| 'fell'
	/** No host starts it again. */
	| 'lost'
	/** PM2 starts it again. */
	| 'crashed'
	/** It crashed once too often, and is to be given up. */
	| 'looped';

export interface Exit {
	readonly kind: ExitKind;
	readonly identity: WorkerIdentity | null;
	readonly reason: string;
}

export interface LifecycleStep {
	readonly state: Lifecycle;
	readonly exit: Exit | null;
}

export const newLifecycle: Lifecycle = {
	phase: 'spawning',
	process: null,
	healthy: false,
	pmId: null,
	inReplacement: false,
	approved: false,
	trouble: null,
	restarts: 0,
	crashes: [],
	cutOff: 0,
};

const always = (phase: Phase) =>
	({
		disowned: phase,
		adopted: phase,
		orphaned: phase,
		replacement_began: phase,
		replacement_ended: phase,
		approved: phase,
		drained: phase,
		forgotten: 'gone',
	}) as const;

const running = { connected: 'starting', drain_began: 'draining', exited: 'backoff', given_up: 'failed' } as const;

/** Where each event leads from each phase. An event that a phase does not have changes nothing in it. */
const transitions: Readonly<Record<Phase, Partial<Record<EventName, Phase>>>> = {
	spawning: {
		...always('spawning'),
		...running,
		connected: 'spawning',
		spawned: 'starting',
		awaits_restart: 'backoff',
	},
	starting: { ...always('starting'), ...running, unhealthy: 'starting', healthy: 'proving', joined: 'serving' },
	proving: {
		...always('proving'),
		...running,
		connected: 'proving',
		healthy: 'proving',
		unhealthy: 'starting',
		join_began: 'joining',
		joined: 'serving',
	},
	joining: { ...always('joining'), ...running, connected: 'joining', join_refused: 'proving', joined: 'serving' },
	serving: { ...always('serving'), ...running, connected: 'serving', healthy: 'serving', unhealthy: 'serving' },
	draining: {
		...always('draining'),
		spawned: 'draining',
		connected: 'draining',
		drain_began: 'draining',
		exited: 'draining',
		given_up: 'failed',
	},
	backoff: {
		...always('backoff'),
		forked: 'spawning',
		spawned: 'starting',
		drain_began: 'draining',
		given_up: 'failed',
	},
	failed: { ...always('failed'), exited: 'failed', given_up: 'failed' },
	gone: {},
};

/** The one transition. Returns the state itself where nothing changes. */
export function stepLifecycle(before: Lifecycle, event: LifecycleEvent): LifecycleStep {
	const phase = transitions[before.phase][event.event];
	if (phase === undefined) return { state: before, exit: null };
	if (event.event === 'exited') return exited(before, phase, event);
	return { state: changed(before, { ...before, phase, ...factsAfter(before, event) }), exit: null };
}

/** The one place that says whether a worker serves. */
export const isServing = ({ phase, healthy }: Lifecycle): boolean => phase === 'serving' && healthy;

/** As users of the API see it. */
export function publicState({ phase }: Lifecycle): WorkerState {
	switch (phase) {
		case 'spawning':
			return 'starting';
		case 'joining':
			return 'proving';
		case 'gone':
			return 'draining';
		default:
			return phase;
	}
}

function factsAfter(before: Lifecycle, event: Exclude<LifecycleEvent, { event: 'exited' }>): Partial<Lifecycle> {
	switch (event.event) {
		case 'forked':
			return { trouble: null };
		case 'spawned':
			return {
				process: { identity: event.identity, connected: false },
				healthy: false,
				trouble: before.phase === 'draining' ? before.trouble : null,
				cutOff: 0,
			};
		case 'connected':
			return before.process === null || before.process.connected
				? {}
				: { process: { ...before.process, connected: true } };
		case 'healthy':
			return { healthy: before.phase === 'serving', trouble: null };
		case 'unhealthy':
			return before.phase === 'serving' && event.overlooked ? {} : { healthy: false, trouble: event.detail };
		case 'joined':
			// One that joined without being told is found here before it was seen to be healthy.
			return before.phase === 'starting' ? {} : { healthy: true, trouble: null };
		case 'approved':
			return { approved: true };
		case 'drain_began':
			return event.detail === null ? {} : { trouble: event.detail };
		case 'drained':
			return { cutOff: event.cutOff };
		case 'adopted':
			return {
				pmId: event.pmId,
				restarts: Math.max(before.restarts, event.restarts),
				approved: event.approved,
			};
		case 'orphaned':
			return { pmId: null };
		case 'replacement_began':
			return { inReplacement: true };
		case 'replacement_ended':
			return { inReplacement: false };
		case 'given_up':
			return { pmId: null, trouble: event.detail };
		case 'disowned':
		case 'awaits_restart':
			return { trouble: event.detail };
		case 'forgotten':
			return { process: null, healthy: false };
		case 'join_began':
		case 'join_refused':
			return {};
	}
}

function exited(before: Lifecycle, after: Phase, event: LifecycleEvent & { event: 'exited' }): LifecycleStep {
	const { identity } = event;
	if (!isOf(before.process, identity)) return { state: before, exit: null };
	const { detail } = event;
	const ended = { ...before, phase: after, process: null, healthy: false };
	const step = (kind: ExitKind, facts: Partial<Lifecycle>): LifecycleStep => ({
		state: { ...ended, ...facts },
		exit: { kind, identity, reason: facts.trouble ?? detail },
	});
	if (after !== 'backoff') return step('left', {});
	if (before.inReplacement) return step('fell', { trouble: detail });
	// A worker that is only just started gets its number from the host a moment later.
	if (before.pmId === null && before.phase !== 'spawning') return step('lost', { phase: 'gone' });
	const { intensity, periodMs } = event.limits;
	const recent = [...before.crashes, event.at].filter((time) => event.at - time < periodMs);
	const facts = {
		trouble: before.trouble ?? detail,
		restarts: before.restarts + 1,
		crashes: recent.slice(-(intensity + 1)),
	};
	return step(recent.length > intensity ? 'looped' : 'crashed', facts);
}

/** Whether the process that ended is the worker's, and not one that it had before. */
function isOf(process: WorkerProcess | null, identity: WorkerIdentity | null): boolean {
	if (process === null || identity === null) return process === null && identity === null;
	return process.identity.pid === identity.pid && process.identity.started === identity.started;
}

/** Returns `before` itself if nothing differs, so that no change is reported. */
function changed(before: Lifecycle, after: Lifecycle): Lifecycle {
	const same = (key: keyof Lifecycle): boolean => before[key] === after[key];
	return (Object.keys(after) as (keyof Lifecycle)[]).every(same) ? before : after;
}
