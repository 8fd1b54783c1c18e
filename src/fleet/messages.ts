import { authoritiesMax } from '../config/checks/authorities.js';
import { z } from '../zod.js';
import type { PeerMessage } from './core/events.js';
import { type QueryMessage, queryMessages } from './queries/schema.js';
import { counter, hash, membersMax, nodeName, since, token } from './links/handshake.js';

/** The schema of what one core may say to another, and of queries. A peer can ask for nothing else. How it may change: links/handshake.ts. */

/** Longest text of a step's own: the last lines of a worker's stderr included. */
export const reasonCharactersMax = 4_000;
/** Longest note of who starts a rollout. */
export const noteCharactersMax = 256;
const appsMax = 256;
const workersMax = 4_096;
const portsMax = 1_024;
const rolloutsMax = 256;
/** A reason may be made of several nodes' reasons, each clipped by its node to {@link reasonCharactersMax}. */
const text = z.string().max(256 * 1024);
const count = counter;
/** ms since 1970, or a duration; clocks may give fractions. */
const milliseconds = z.number().min(0).max(Number.MAX_SAFE_INTEGER);

/**
 * One for each microsecond since 1970: a fleet makes a few in a second while it cannot agree, so it never comes near,
 * however wrong a clock is. Without a bound a hostile member could take the last one that there is, and nobody could
 * ever go beyond it; now whatever it takes lies below what the next moment allows.
 */
export const highestCounter = (wallMs: number): number => Math.trunc(wallMs) * 1_000;
const reachable = counter.refine((value) => value <= highestCounter(Date.now()), {
	error: 'an epoch is higher than any that a fleet can have reached by this clock',
});
const epoch = z.object({ counter: reachable, node: z.union([nodeName, z.literal('')]) });
const member = z.object({ name: nodeName, zone: z.string().max(63).nullable() });
const members = z.array(member).max(membersMax);
const identity = z.object({ id: token, pid: count, started: count });
const ports = z.array(z.int().min(1).max(65_535)).max(portsMax);
const provenWorker = identity.extend({ proven: z.boolean(), joined: z.boolean(), ports: since(2, ports.optional()) });
const linkOf = z.object({ node: nodeName, id: token });

/** As long as a path can be; a revision has 128 characters, each of two code units at most. */
const release = z.object({ path: z.string().max(4_096), revision: z.string().max(256).nullable() });
const releases = z
	.record(z.string().regex(/^[a-z0-9-]{1,128}$/), release)
	.refine((value) => Object.keys(value).length <= appsMax, { error: 'there are more apps than a node can have' });
const nodeReleases = z.object({ before: releases.nullable(), after: releases.nullable() });

const snapshot = z.object({
	boot: counter,
	workers: z.array(identity).max(workersMax),
	links: z.array(linkOf).max(membersMax),
	configHash: hash.nullable(),
	releases: since(2, releases.optional()),
});

const stepResult = z.object({
	outcome: z.enum(['back', 'refused', 'failed']),
	before: snapshot,
	after: snapshot.extend({ workers: z.array(provenWorker).max(workersMax) }).nullable(),
	wanted: count,
	oldGone: z.boolean(),
	cutOff: count,
	reason: text.nullable(),
	required: since(
		2,
		z
			.array(z.object({ app: z.string().max(128), ports }))
			.max(appsMax)
			.optional(),
	),
});

/** Of the end of what a hook printed. */
const hookRun = z.object({
	state: z.enum(['running', 'done', 'failed', 'unknown']),
	node: nodeName,
	detail: z.string().max(reasonCharactersMax).nullable(),
	accepted: z.string().max(256).optional(),
});
const nodeHooks = z.object({ before_node: hookRun.optional(), after_node: hookRun.optional() });
const rolloutHooks = z.object({ before_rollout: hookRun.optional(), after_rollout: hookRun.optional() });

const record = z.object({
	rollout: token,
	state: z.enum(['none', 'restarting', 'back', 'refused', 'failed', 'lost']),
	begun: counter,
	epoch: epoch.nullable(),
	attempt: counter,
	startedAt: milliseconds,
	endedAt: milliseconds.nullable(),
	before: snapshot.nullable(),
	result: stepResult.nullable(),
	hooks: since(2, nodeHooks.optional()),
});

const authorityId = z.string().regex(/^[0-9a-f]{1,64}$/);
const authority = z.object({ id: authorityId, name: z.string().max(128), from: milliseconds });
const nodeAuthorities = z.object({
	accepts: z.array(authority).max(authoritiesMax),
	presents: z.array(authorityId).max(authoritiesMax),
});

const readiness = z.object({
	apps: z.array(z.object({ app: z.string().max(128), wanted: count, healthy: count })).max(appsMax),
	availability: z.enum(['Available', 'Unavailable']).nullable(),
	draining: z.boolean(),
	configuration: since(2, z.literal('last_good').optional()),
	authorities: since(2, nodeAuthorities.optional()),
});

const rolloutType = z.enum(['restart', 'restart_service']);
const service = z.enum(['http_workers', 'clustering', 'clustering_config']).nullable();
const app = z.string().max(128).nullable();
/** More than one. */
const apps = z.array(z.string().max(128)).min(2).max(appsMax).readonly();
const user = z.string().max(256);

const note = z.string().max(noteCharactersMax);
const origin = z.string().max(256);
const selection = z.object({
	nodes: z.array(nodeName).max(membersMax).nullable(),
	zone: z.string().max(63).nullable(),
});

const spec = z.object({
	id: token,
	type: rolloutType,
	service,
	app,
	replicated: z.boolean(),
	user,
	maxUnavailable: count,
	onFailure: z.enum(['halt', 'continue']),
	waitBetweenMs: milliseconds,
	deadlineMs: milliseconds,
	members,
	memberHash: hash,
	membersNext: members.nullable(),
	memberHashNext: hash.nullable(),
	configHashes: z.record(nodeName, hash).nullable(),
	apps: since(2, apps.optional()),
	without: since(2, z.array(nodeName).max(membersMax).optional()),
	note: since(2, note.optional()),
	holdAfter: since(2, count.optional()),
	selected: since(2, selection.optional()),
	unselected: since(2, z.array(nodeName).max(membersMax).optional()),
	from: since(2, origin.optional()),
	reverts: since(2, token.optional()),
	putBack: since(2, z.record(nodeName, releases).optional()),
	revertAs: since(2, token.optional()),
	hooks: since(
		2,
		z
			.array(z.enum(['before_rollout', 'after_rollout']))
			.max(2)
			.optional(),
	),
	createdAt: milliseconds,
});

const version = z.object({ epoch: epoch.nullable(), n: counter });

const recordedHook = hookRun.extend({
	epoch: epoch.nullable(),
	ending: z.object({ state: z.enum(['completed', 'aborted']), reason: text.nullable() }).optional(),
});

const flags = z.object({
	version,
	attempt: counter,
	skipped: z.array(nodeName).max(membersMax),
	left: z.array(nodeName).max(membersMax),
	paused: z.boolean(),
	aborting: z.object({ by: user }).nullable(),
	halted: text.nullable(),
	advice: since(2, text.nullable().optional()),
	held: since(2, z.enum(['on', 'over']).optional()),
	revert: since(2, z.enum(['due', 'given_up']).optional()),
	hooks: since(
		2,
		z.object({ before_rollout: recordedHook.optional(), after_rollout: recordedHook.optional() }).optional(),
	),
});

const viewWorkers = z.object({ boot: counter, workers: z.array(identity).max(workersMax) }).nullable();

const viewState = z.enum(['planned', 'running', 'paused', 'halted', 'completed', 'aborted']);
const viewNode = z.object({
	node: nodeName,
	state: z.enum(['pending', 'restarting', 'back', 'refused', 'failed', 'skipped']),
	attempt: counter,
	before: viewWorkers,
	after: viewWorkers,
	release: since(2, nodeReleases.optional()),
	started_at: milliseconds.nullable(),
	back_at: milliseconds.nullable(),
	ended_at: since(2, milliseconds.nullable().optional()),
	reason: text.nullable(),
	hooks: since(2, nodeHooks.optional()),
});

const view = z.object({
	id: token,
	type: rolloutType,
	service,
	app,
	replicated: z.boolean(),
	user,
	state: viewState,
	reason: text.nullable(),
	waiting_for: text.nullable(),
	coordinator: nodeName,
	epoch: z.string().max(100).nullable(),
	max_unavailable: count,
	order: z.array(nodeName).max(membersMax),
	nodes: z.array(viewNode).max(membersMax),
	created_at: milliseconds,
	ended_at: milliseconds.nullable(),
	apps: since(2, apps.optional()),
	note: since(2, note.nullable().optional()),
	hold_after: since(2, count.optional()),
	held: since(2, z.boolean().optional()),
	selected: since(2, selection.optional()),
	asked_by: since(2, z.object({ user, from: origin.nullable() }).optional()),
	reverts: since(2, token.nullable().optional()),
	reverted_by: since(2, token.nullable().optional()),
	hooks: since(2, rolloutHooks.optional()),
});

const viewChange = z.object({
	state: viewState.optional(),
	reason: text.nullable().optional(),
	waiting_for: text.nullable().optional(),
	coordinator: nodeName.optional(),
	epoch: z.string().max(100).nullable().optional(),
	held: z.boolean().optional(),
	reverted_by: since(2, token.nullable().optional()),
	hooks: rolloutHooks.optional(),
	order: z
		.array(z.union([nodeName, z.tuple([counter, counter])]))
		.max(membersMax)
		.optional(),
	nodes: z.array(viewNode.partial().required({ node: true })).max(membersMax),
});

const open = z.array(z.object({ spec, flags })).max(rolloutsMax);
const ended = z.array(z.object({ rollout: token, epoch: epoch.nullable(), view })).max(rolloutsMax);

const report = z.object({
	boot: counter,
	sequence: counter,
	echo: counter,
	readiness,
	memberHash: hash,
	out: z.array(token).max(rolloutsMax),
	records: z.array(record).max(rolloutsMax),
	have: z.array(z.object({ rollout: token, version })).max(rolloutsMax),
	ended: z.array(token).max(rolloutsMax),
	progress: text.nullable(),
	endedHere: since(
		2,
		z
			.array(z.object({ rollout: token, reason: text }))
			.max(rolloutsMax)
			.optional(),
	),
});

const nackReason = z.discriminatedUnion('kind', [
	z.object({ kind: z.literal('promised') }),
	z.object({ kind: z.literal('conflict'), rollout: token }),
	z.object({ kind: z.literal('members'), memberHash: hash }),
	z.object({ kind: z.literal('live'), coordinator: nodeName }),
	z.object({ kind: z.literal('stranger') }),
	z.object({ kind: z.literal('left'), rollout: token }),
]);

const word = z.discriminatedUnion('kind', [
	z.object({ kind: z.literal('pause'), rollout: token, user }),
	z.object({
		kind: z.literal('resume'),
		rollout: token,
		skip: z.array(nodeName).max(membersMax),
		user,
	}),
	z.object({ kind: z.literal('abort'), rollout: token, user }),
	z.object({ kind: z.literal('admit'), node: nodeName, user }),
]);

const refusal = z.object({
	code: z.enum(['conflict', 'unavailable', 'invalid', 'not_found']),
	message: text,
	extra: z.record(z.string().max(64), z.string().max(256)),
});

const answer = z.discriminatedUnion('ok', [
	z.object({ ok: z.literal(true), view: view.nullable() }),
	z.object({ ok: z.literal(false), refusal }),
]);

const appNames = z.array(z.string().max(128)).max(appsMax);
const authorities = z.array(hash).max(64);
const file = z.string().max(4_096);
const tlsFacts = z.object({
	caFile: file,
	certFile: file,
	trusts: authorities,
	trustsNow: authorities,
	signedBy: authorities,
	presents: authorities,
});
const checkResult = z.object({
	fault: text.nullable(),
	members: members.nullable(),
	memberHash: hash.nullable(),
	configHash: hash.nullable(),
	apps: since(2, z.object({ added: appNames, removed: appNames }).optional()),
	appNames: since(2, appNames.optional()),
	releases: since(2, nodeReleases.optional()),
	lacksApp: since(2, z.boolean().optional()),
	tls: since(2, tlsFacts.optional()),
	moves: since(2, z.boolean().optional()),
});

const checkFields = { apps: since(2, apps.optional()), putBack: since(2, releases.optional()) };

const schema = z.discriminatedUnion('kind', [
	z.object({
		kind: z.literal('greeting'),
		promised: epoch,
		voting: z.boolean(),
		instance: token,
		memberHash: hash,
		readiness,
		open: z.array(token).max(rolloutsMax),
		stranger: z.boolean(),
		catchUp: z.object({ open, ended }).nullable(),
	}),
	z.object({
		kind: z.literal('prepare'),
		epoch,
		purpose: z.enum(['start', 'takeover', 'handover']),
		rollout: token.nullable(),
		memberHashes: z.array(hash).max(8),
	}),
	z.object({ kind: z.literal('promise'), epoch, report, open, ended }),
	z.object({ kind: z.literal('nack'), epoch, promised: epoch, reason: nackReason }),
	z.object({ kind: z.literal('heartbeat'), epoch, number: counter, live: z.boolean() }),
	z.object({ kind: z.literal('report'), epoch, report }),
	z.object({ kind: z.literal('store'), epoch, open, ended }),
	z.object({ kind: z.literal('check'), epoch, rollout: token, service, app, ...checkFields }),
	z.object({ kind: z.literal('checked'), epoch, rollout: token, result: checkResult }),
	z.object({ kind: z.literal('restart'), epoch, rollout: token, version, attempt: counter }),
	z.object({ kind: z.literal('handover'), epoch, rollout: token }),
	z.object({ kind: z.literal('forward'), id: token, word }),
	z.object({ kind: z.literal('answer'), id: token, answer }),
	z.object({ kind: z.literal('view'), epoch, number: counter, view }),
	since(
		2,
		z.object({
			kind: z.literal('view_change'),
			epoch,
			number: counter,
			rollout: token,
			base: counter,
			change: viewChange,
		}),
	),
	since(2, z.object({ kind: z.literal('view_wanted'), rollout: token })),
	z.object({ kind: z.literal('ended'), endings: ended }),
	z.object({ kind: z.literal('look'), id: token, service, app, ...checkFields }),
	z.object({ kind: z.literal('looked'), id: token, result: checkResult }),
	z.object({ kind: z.literal('inquiry'), rollout: token }),
	z.object({ kind: z.literal('ongoing'), rollout: token }),
	...queryMessages,
]);

/** What crosses a link: what is meant for the core of the other end, and queries, which are answered beside it. */
export type FleetMessage = PeerMessage | QueryMessage;

/** Breaks the build when the core's words and the schema part: each must fit into the other. */
const fits: FleetMessage extends z.infer<typeof schema> ? z.ZodType<FleetMessage> : never = schema;
export const peerMessage = fits;

/** The messages that there are, by their `kind`. */
export const messageKinds: ReadonlyMap<string, z.ZodType> = new Map(
	schema.options.map((option) => [option.shape.kind.value, option]),
);
