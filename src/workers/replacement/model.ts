/** The shapes of a replacement: its plan, its state, what happens to it and what it asks for. */
export interface ReplacementPlan {
	/** Ids of the workers to come. */
	news: readonly string[];
	/** Ids of the workers to leave. */
	olds: readonly string[];
	order: 'new_first' | 'old_first';
	/** With `old_first`: what is more than the new set leaves before the first new one starts, so that never more run than wanted. */
	surplusFirst: boolean;
	/** New workers take jobs from their start: they drain when they are refused, joined or not. */
	worksFromStart: boolean;
	/** Workers of one batch, at least 1. */
	surge: number;
	/** A worker is proven once it was healthy for so long without a break. */
	soakMs: number;
	/** A worker has to be proven within this time of its process's start. */
	proofTimeoutMs: number;
	/** After joining, a worker must have answered so many requests; without traffic `capMs` is enough. */
	settle: { requests: number; capMs: number };
	/** How long old and new serve side by side before the first old ones drain; 0: not at all. */
	compareMs: number;
	/** After this a worker that drains and has not left is ended by force. */
	drainTimeoutMs: number;
	/** After this much more the replacement fails, since the worker cannot be ended. */
	goneTimeoutMs: number;
}

export type Newcomer =
	| { phase: 'starting' }
	| { phase: 'proving'; since: number; healthySince: number | null; detail: string }
	| { phase: 'proven' }
	| { phase: 'joining' }
	| { phase: 'settling'; since: number; served: number }
	| { phase: 'settled' }
	/** `served`: it had joined, so it drains first. */
	| { phase: 'ending'; served: boolean }
	| { phase: 'ended' };

export type Leaver = { phase: 'serving' } | { phase: 'draining' } | { phase: 'gone' };

/** What the current batch is doing. */
export type Stage =
	| { stage: 'planned' }
	| { stage: 'proving' }
	| { stage: 'canary' }
	| { stage: 'joining' }
	| { stage: 'comparing'; since: number }
	| { stage: 'draining'; since: number; forced: boolean }
	| { stage: 'ending'; since: number; forced: boolean; reason: string; culprit: string | null }
	| { stage: 'finished'; outcome: 'back' | 'refused' | 'failed'; reason: string | null };

export interface ReplacementState {
	plan: ReplacementPlan;
	batch: number;
	stage: Stage;
	news: ReadonlyMap<string, Newcomer>;
	olds: ReadonlyMap<string, Leaver>;
	/** New workers that were healthy and missed their last probe. */
	missed: ReadonlySet<string>;
	cutOff: number;
	/** What was seen of the answers of both sets; null: they are not compared. */
	compared: string | null;
}

export type ReplacementEvent =
	| { event: 'begun'; at: number }
	| { event: 'process_started'; id: string; at: number }
	| { event: 'probed'; id: string; healthy: boolean; detail: string; at: number }
	| { event: 'joined'; id: string; at: number }
	| { event: 'served'; id: string; requests: number; at: number }
	/** What was seen of the answers of old and new since they serve side by side, and whether it is certain that the new ones' are worse. */
	| { event: 'compared'; seen: string; isWorse: boolean; at: number }
	/** A new worker cannot become part of the set: its process ended, it threw, it was refused its port. */
	| { event: 'fell'; id: string; detail: string; at: number }
	/** A process is gone, be it an old one that drained or a new one that was ended. */
	| { event: 'gone'; id: string; cutOff: number; at: number }
	| { event: 'time_passed'; at: number }
	/** The request as a whole is out of time, or is called off. */
	| { event: 'called_off'; detail: string; at: number };

export type ReplacementEffect =
	| { effect: 'start'; id: string }
	| { effect: 'join'; id: string }
	/** The worker may now join without approval when PM2 restarts it. */
	| { effect: 'approve'; id: string }
	| { effect: 'drain'; id: string }
	/** End at once. */
	| { effect: 'end'; id: string }
	/** culprit: the new worker that failed, if one did. */
	| { effect: 'finish'; outcome: 'back' | 'refused' | 'failed'; reason: string | null; culprit: string | null };

export interface ReplacementStep {
	state: ReplacementState;
	effects: ReplacementEffect[];
}
