import type { LoadedConfig } from '../config/load.js';
import { messageOf, RollcallError } from '../errors.js';
import { LacksApp } from '../fleet/core/lacks-app.js';
import { streamsMax, type Query, type QueryPart } from '../fleet/queries/schema.js';
import type { LocalNode } from '../fleet/types.js';
import type { NodeReleases, Readiness, RolloutSpec, Snapshot, StepResult } from '../rollout/types.js';
import { listenerInodes } from '../system/proc/sockets.js';
import type { Audit } from '../server/audit.js';
import type { detailsOf } from '../server/readiness.js';
import { readLogs } from '../system/logs/read-logs.js';
import { isAlive } from '../system/proc/process.js';
import { findLack } from './app-needs.js';
import type { ConfigurationFile } from './configuration-file.js';
import type { Standing } from './availability.js';
import { runHook, type RunnableHooks } from './hooks.js';
import { releasesOf, SeenReleases } from '../workers/pool/rows.js';
import type { ProvenWorker, Releases, ReplacementResult, StartsFrom, Supervisor, WorkerApp } from '../workers/types.js';

type Step = Parameters<LocalNode['execute']>[0];

/** What the local node needs of the composition root. */
export interface LocalNodeParts {
	supervisor: Supervisor;
	workerDir: string;
	/** What `/readyz` says to who may see details. */
	status(): ReturnType<typeof detailsOf>;
	/** Resolves when the supervisor has given every app its first chance. */
	started: Promise<void>;
	standing: Standing;
	boot(): number;
	/** What `http_workers:` of a reading asks for; throws with every fault named. */
	appsOf(read: LoadedConfig): WorkerApp[];
	hooks: RunnableHooks;
	configuration: Pick<ConfigurationFile, 'standsIn' | 'read' | 'accepted' | 'on'>;
	/** Told what callers of other nodes have changed here; those of this node are recorded as they ask. */
	audit: Pick<Audit, 'recordOfPeer'>;
	/** Takes the instance down: readiness off, drain, worker host and control plane end and start again. */
	restartInstance(): void;
}

interface Parts extends LocalNodeParts {
	seen: SeenReleases;
	/** Looks at the workers that there are now. */
	learn(): void;
}

/** The fleet's hands on this node: what a rollout's step does here, in terms of the supervisor. */
export function createLocalNode(given: LocalNodeParts): LocalNode {
	const seen = new SeenReleases();
	const learn = (): void => seen.learn(given.supervisor.rows());
	const parts: Parts = { ...given, seen, learn };
	return {
		readiness: () => readinessOf(parts),
		onReadiness(listener) {
			parts.supervisor.on('readiness', learn);
			parts.supervisor.on('readiness', listener);
			parts.standing.on('changed', listener);
			parts.configuration.on('changed', listener);
		},
		snapshot: () => ({
			workers: parts.supervisor.identities().map(identityOf),
			releases: releasesOf(parts.supervisor.rows()),
		}),
		answer: (query, signal, peer) => answerHere(parts, query, signal, peer),
		settled: () => parts.started,
		async preflight({ service, only, dryRun, putBack }) {
			if (service === 'http_workers') {
				const { apps: wanted } = readWanted(parts, only);
				const meant = wanted.filter(({ name }) => covers(only, name));
				assertConfigured(putBack, only, meant);
				const starting = putBack === null ? meant : await startingFrom(parts.supervisor, planned(putBack), meant);
				assertNothingLacks(parts.supervisor, starting.map(asStarted));
				const releases = dryRun ? await releasesFor(parts.supervisor, only, starting) : null;
				return { ...parts.supervisor.changes(wanted, only), names: wanted.map(({ name }) => name), releases };
			}
			if (parts.configuration.standsIn) checked(() => parts.configuration.read());
			return null;
		},
		execute(step) {
			if (step.refused !== undefined) return refusedStep(parts, step, step.refused);
			if (step.spec.type === 'restart') return restartStep(parts, step);
			return replaceStep(parts, step);
		},
		runHook: (request) => runHook(parts, request),
	};
}

async function* answerHere(
	parts: Parts,
	query: Query,
	signal: AbortSignal,
	peer: string | null,
): AsyncGenerator<QueryPart> {
	if (query.about === 'workers') {
		yield { about: 'workers', rows: parts.supervisor.rows() };
		return;
	}
	if (query.about === 'status') {
		yield { about: 'status', rows: [parts.status()] };
		return;
	}
	if (query.about === 'availability') {
		const { wanted, user } = query;
		parts.standing.setAvailability(wanted);
		if (peer !== null) parts.audit.recordOfPeer(peer, user, wanted === 'Unavailable' ? 'drain_node' : 'ready_node');
		yield { about: 'availability', rows: [{ availability: parts.standing.availability }] };
		return;
	}
	const { app, worker, release, lines, agoMs, charactersMax, follow, from } = query;
	parts.learn();
	const asked = {
		...(app === null ? {} : { app }),
		...(worker === null ? {} : { worker }),
		...(release === null ? {} : { isMeant: (id: string) => parts.seen.isOf(id, release) }),
		lines,
		since: agoMs === null ? 0 : Date.now() - agoMs,
		charactersMax,
		follow,
		...(from ? { from } : {}),
	};
	for await (const { places, ...part } of readLogs(parts.workerDir, asked, signal)) {
		// Of too many streams none is told: the answer would not fit, and some places alone are worth nothing.
		const known = places !== undefined && places.length <= streamsMax ? { places } : {};
		yield { about: 'logs', ...part, ...known };
	}
}

/** As a step would start them; throws `unavailable` before anything changes where one cannot go back. */
async function startingFrom(supervisor: Supervisor, from: StartsFrom, apps: WorkerApp[]): Promise<WorkerApp[]> {
	try {
		return await supervisor.startingFrom(from, apps);
	} catch (error) {
		throw new RollcallError('unavailable', `${messageOf(error)}; nothing was changed`, {}, { cause: error });
	}
}

/** An app that goes back needs its other settings. */
function assertConfigured(putBack: Releases | null, only: Apps, apps: readonly WorkerApp[]): void {
	const lost = Object.entries(putBack ?? {}).find(
		([name]) => covers(only, name) && !apps.some((app) => app.name === name),
	);
	if (lost === undefined) return;
	const [name, { path }] = lost;
	const text = `app ${name} cannot start from ${path}: http_workers no longer has it; nothing was changed`;
	throw new RollcallError('unavailable', text);
}

const asStarted = ({ pinned, ...app }: WorkerApp): WorkerApp =>
	pinned ? { ...app, script: pinned.path, cwd: pinned.cwd } : app;

/** For a look alone. */
const planned = (releases: Releases): StartsFrom => ({ releases, rollout: '', reason: '' });

/** Where a step starts its workers from. An instance that starts anew comes back as it was. */
function startsFrom({ spec, putBack }: Step): StartsFrom {
	if (spec.type === 'restart') return 'kept';
	return putBack === null ? 'configured' : { releases: putBack, rollout: spec.id, reason: whyPutBack(spec) };
}

function whyPutBack({ reverts, note }: RolloutSpec): string {
	const undoes = reverts === undefined ? 'an operator asked for it' : `it undoes rollout ${reverts}`;
	return note === undefined ? undoes : `${undoes}: ${note}`;
}

/** Names; null: all. */
type Apps = readonly string[] | null;

const covers = (only: Apps, app: string): boolean => only?.includes(app) ?? true;

async function releasesFor(supervisor: Supervisor, only: Apps, meant: readonly WorkerApp[]): Promise<NodeReleases> {
	const rows = supervisor.rows().filter((row) => covers(only, row.app));
	return { before: releasesOf(rows), after: await supervisor.nextReleases(meant) };
}

function readinessOf(parts: LocalNodeParts): Readiness {
	return {
		// An app that listens nowhere serves no request: it makes no node unready, and takes none out of a rollout's budget.
		apps: parts.supervisor
			.readiness()
			.filter(({ listens }) => listens !== false)
			.map(({ app, wanted, healthy }) => ({ app, wanted, healthy })),
		availability: parts.standing.availability,
		draining: parts.standing.draining,
		...(parts.configuration.standsIn ? { configuration: 'last_good' as const } : {}),
	};
}

/**
 * The wanted apps of the file; `unavailable` when the file does not check, or neither it nor this node has any of the apps asked for; the
 * fleet names the node. An app that runs here and is not in the file any more is taken away.
 */
function readWanted(parts: LocalNodeParts, only: Apps): { apps: WorkerApp[]; source: LoadedConfig['source'] } {
	const { apps, source } = checked(() => {
		const read = parts.configuration.read();
		return { apps: parts.appsOf(read), source: read.source };
	});
	const isHere = (app: string): boolean =>
		apps.some(({ name }) => name === app) || parts.supervisor.identities(app).length > 0;
	if (only !== null && !only.some(isHere)) {
		throw new LacksApp(
			only,
			apps.map(({ name }) => name),
		);
	}
	return { apps, source };
}

/** Throws `unavailable` with what keeps an app from starting here, before any node replaces anything. */
function assertNothingLacks(supervisor: Supervisor, apps: readonly WorkerApp[]): void {
	const isWhole = supervisor.readiness().every(({ wanted, healthy }) => healthy >= wanted);
	const around = {
		isListenedOn: (port: number) => listenerInodes(port).length > 0,
		running: new Set(supervisor.rows().map(({ app }) => app)),
		ownPorts: isWhole ? new Set(supervisor.identities().flatMap(({ ports }) => ports ?? [])) : null,
		path: process.env['PATH'] ?? '',
	};
	const lack = apps.map((app) => findLack(app, around)).find((text) => text !== null);
	if (lack !== undefined) throw new RollcallError('unavailable', `${lack}; nothing was changed`);
}

function checked<Value>(read: () => Value): Value {
	try {
		return read();
	} catch (cause) {
		throw new RollcallError('unavailable', `the configuration does not check: ${messageOf(cause)}`, {}, { cause });
	}
}

async function replaceStep(parts: Parts, step: Step): Promise<StepResult> {
	await parts.started;
	try {
		return await replaceWorkers(parts, step);
	} catch (error) {
		// One that was away when the files were looked at; of this node alone it was refused then.
		if (!(error instanceof LacksApp) || !step.spec.replicated) throw error;
		return stepResultOf(parts, step.before, {
			outcome: 'back',
			before: step.before.workers,
			after: parts.supervisor.identities(),
			wanted: 0,
			oldGone: true,
			cutOff: 0,
			reason: null,
		});
	}
}

/** Nothing is touched: the workers that run are the evidence. */
async function refusedStep(parts: Parts, step: Step, reason: string): Promise<StepResult> {
	await parts.started;
	return unchanged(parts, step, reason);
}

async function replaceWorkers(parts: Parts, step: Step): Promise<StepResult> {
	// What was to be taken away may be gone already when a step goes forward.
	const { apps, source } = readWanted(parts, step.recovered ? null : step.only);
	const from = startsFrom(step);
	const fault = await whyNotStarted(parts, step, from, apps);
	if (fault !== null) return unchanged(parts, step, fault);
	const result = await parts.supervisor.replace({
		only: step.only,
		apps,
		from,
		rollout: step.spec.id,
		...(step.recovered ? { before: step.before.workers } : {}),
		deadlineMs: step.spec.deadlineMs,
		onProgress(text) {
			// Workers of a release that is refused are gone soon.
			parts.learn();
			step.onProgress(text);
		},
	});
	if (result.outcome === 'back') await parts.configuration.accepted(source);
	return stepResultOf(parts, step.before, result);
}

/** A release may have gone since the files were looked at; a step that goes forward has started it already. */
async function whyNotStarted(parts: Parts, step: Step, from: StartsFrom, apps: WorkerApp[]): Promise<string | null> {
	if (step.recovered || step.putBack === null) return null;
	const meant = apps.filter(({ name }) => covers(step.only, name));
	return startingFrom(parts.supervisor, from, meant).then(() => null, messageOf);
}

function unchanged(parts: Parts, { before, only }: Step, reason: string): StepResult {
	const covered = parts.supervisor.readiness().filter(({ app }) => covers(only, app));
	return stepResultOf(parts, before, {
		outcome: 'refused',
		before: before.workers,
		after: parts.supervisor.identities(),
		wanted: covered.reduce((sum, { wanted }) => sum + wanted, 0),
		oldGone: true,
		cutOff: 0,
		reason,
	});
}

/**
 * Before the process ends the promise never settles: what follows is another process's. Afterwards the instance that came
 * up proves itself: the boot is greater, the workers are new ones and nothing of the set before lives.
 */
async function restartStep(parts: Parts, step: Step): Promise<StepResult> {
	// A node that went down now would come back by another configuration than its file's, or has done so.
	if (!step.recovered || parts.configuration.standsIn) checked(() => parts.configuration.read());
	if (!step.recovered) {
		step.onProgress('draining its workers, then starting again');
		parts.restartInstance();
		return new Promise<StepResult>(() => undefined);
	}
	step.onProgress('starting its workers');
	await parts.started;
	if (step.before.workers.some(isAlive)) return replaceStep(parts, step);
	const after = parts.supervisor.identities();
	const readiness = parts.supervisor.readiness();
	const wanted = readiness.reduce((sum, app) => sum + app.wanted, 0);
	const lacking = readiness.filter((app) => app.healthy < app.wanted);
	return {
		outcome: lacking.length === 0 ? 'back' : 'failed',
		before: step.before,
		after: { boot: parts.boot(), workers: after, links: [], configHash: null },
		wanted,
		oldGone: true,
		cutOff: 0,
		reason:
			lacking.length === 0
				? null
				: lacking
						.map(
							(app) =>
								`${app.app}: ${app.healthy} of ${app.wanted} workers healthy${app.degraded ? ` (${app.degraded})` : ''}`,
						)
						.join('; '),
	};
}

function stepResultOf(parts: LocalNodeParts, before: Snapshot, result: ReplacementResult): StepResult {
	return {
		outcome: result.outcome,
		before: { ...before, workers: result.before },
		after: { boot: parts.boot(), workers: result.after, links: [], configHash: null },
		wanted: result.wanted,
		oldGone: result.oldGone,
		cutOff: result.cutOff,
		reason: result.reason,
		required: result.required,
	};
}

function identityOf({ id, pid, started }: ProvenWorker): { id: string; pid: number; started: number } {
	return { id, pid, started };
}
