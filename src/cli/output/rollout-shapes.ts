/** What commands print of rollouts with `--json`: a part of json-schemas.ts, where the rules stand. */
import type { RolloutView } from '../../rollout/types.js';
import { z } from '../../zod.js';

const text = z.string();
const whole = z.int();
/** ms since 1970. */
const moment = z.int();
const orNull = <Shape extends z.ZodType>(shape: Shape) => shape.nullable();

export const release = z.object({ path: text, revision: orNull(text) });

const processes = z.object({
	boot: whole,
	workers: z.array(z.object({ id: text, pid: whole, started: whole })),
});

const releases = z.record(text, release);
export const nodeReleases = z.object({ before: orNull(releases), after: orNull(releases) });

export const rolloutState = z.enum(['planned', 'running', 'paused', 'halted', 'completed', 'aborted']);
export const nodeState = z.enum(['pending', 'restarting', 'back', 'refused', 'failed', 'skipped']);

/** detail: how it ended, with its last lines. accepted: who resumed the rollout although it had not gone well. */
const hookRun = z.object({
	state: z.enum(['running', 'done', 'failed', 'unknown']),
	node: text,
	detail: orNull(text),
	accepted: text.optional(),
});

/** Users' requests over so many ms on these nodes, those answered 5xx, and late where answers are timed; without nodes none are counted. */
const seenTraffic = z.object({
	nodes: z.array(text),
	ms: whole,
	total: whole,
	errors: whole,
	slow: whole.optional(),
});
const appTraffic = z.object({ app: text, new: seenTraffic, old: seenTraffic });
export type AppTraffic = z.infer<typeof appTraffic>;
/** A rollout with what its nodes answer. */
export type ShownRollout = RolloutView & { traffic?: AppTraffic[] };

export const rolloutShape = z
	.object({
		id: text,
		type: z.enum(['restart', 'restart_service']),
		service: orNull(z.enum(['http_workers', 'clustering_config', 'clustering'])),
		app: orNull(text),
		replicated: z.boolean(),
		user: text,
		state: rolloutState,
		reason: orNull(text),
		waiting_for: orNull(text),
		coordinator: text,
		epoch: orNull(text),
		max_unavailable: whole,
		order: z.array(text),
		nodes: z.array(
			z.object({
				node: text,
				state: nodeState,
				attempt: whole,
				before: orNull(processes),
				after: orNull(processes),
				/** By app; null: not known yet. */
				release: nodeReleases.optional(),
				started_at: orNull(moment),
				back_at: orNull(moment),
				/** When its last step ended, whatever came of it. */
				ended_at: orNull(moment).optional(),
				reason: orNull(text),
				/** Those that have begun. */
				hooks: z.object({ before_node: hookRun.optional(), after_node: hookRun.optional() }).optional(),
			}),
		),
		created_at: moment,
		ended_at: orNull(moment),
		/** Where it covers more than one app, but not all; app is null then. Like all that follows, not of rollouts that an earlier version wrote. */
		apps: z.array(text).optional(),
		/** Why, in the words of who asked. */
		note: orNull(text).optional(),
		/** It pauses once so many nodes are back; 0: it does not. */
		hold_after: whole.optional(),
		/** It is paused because of hold_after. */
		held: z.boolean().optional(),
		/** What the request selected; both null: every node. */
		selected: z.object({ nodes: orNull(z.array(text)), zone: orNull(text) }).optional(),
		/** from: socket, signal, revert, or a network address. */
		asked_by: z.object({ user: text, from: orNull(text) }).optional(),
		/** The rollout that it undoes. */
		reverts: orNull(text).optional(),
		/** The rollout that undoes it; of a halted one, that will be opened at once. */
		reverted_by: orNull(text).optional(),
		/** Those of its own that have begun. */
		hooks: z.object({ before_rollout: hookRun.optional(), after_rollout: hookRun.optional() }).optional(),
		/** Only in status and rollout status, while it is paused or halted: what nodes with the new release answer beside those with the old one. */
		traffic: z.array(appTraffic).optional(),
	})
	.meta({ id: 'rollout' });

export const appChanges = z.object({ added: z.array(text), removed: z.array(text) });

export const planShape = z
	.object({
		order: z.array(text),
		max_unavailable: whole,
		down: z.array(text),
		steps: z.array(z.object({ nodes: z.array(text), estimate_ms: z.number() })),
		estimate_ms: z.number(),
		/** No earlier rollout of this kind says how long a node takes. */
		guess: z.boolean().optional(),
		/** The rollout that it would undo. */
		reverts: text.optional(),
		refused: orNull(text),
		/** The fault that a start would be refused with; null if it would not. */
		refused_as: orNull(z.enum(['conflict', 'invalid', 'unavailable'])).optional(),
		/** Nodes that have no such app and are passed over. */
		without: z.array(text).optional(),
		/** Nodes that the selection leaves out. */
		unselected: z.array(text).optional(),
		/** It would pause once so many nodes are back; left out: it would not. */
		hold_after: whole.optional(),
		/** What may be unexpected, though it stops nothing. */
		remarks: z.array(text).optional(),
		/** By node: apps that would come and go. Only of http_workers, and without nodes that do not say. */
		apps: z.record(text, appChanges).optional(),
		/** By node: what each app runs and would start. Only of http_workers, and without nodes that do not say. */
		release: z.record(text, nodeReleases).optional(),
	})
	.meta({ id: 'plan' });

/** `from`: since when it is valid. */
export const authority = z.object({ id: text, name: text, from: moment });
