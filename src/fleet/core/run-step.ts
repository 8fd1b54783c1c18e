import { messageOf, RollcallError } from '../../errors.js';
import { type KnownPeer, whyCutOff } from './cut-off.js';
import { LacksApp } from './lacks-app.js';
import type { CheckResult } from '../../rollout/messages.js';
import { appsOf } from '../../rollout/targets/scope.js';
import type { Snapshot, StepResult } from '../../rollout/types.js';
import type { Clock } from '../clock.js';
import type { Links } from '../links/links.js';
import {
	assertCanFollow,
	assertCertificateInDate,
	type FleetConfig,
	type Membership,
	readMembership,
	tlsFactsOf,
} from '../links/membership.js';
import { assertFree } from '../links/websocket.js';
import type { CheckRequest, StepRequest } from '../ports.js';
import { clipped } from '../text.js';
import type { LocalNode } from '../types.js';

/** What the executor of steps needs of the fleet around it. */
export interface StepPorts {
	local: LocalNode;
	links: Links;
	clock: Clock;
	/** Reads the file again; throws with the fault. */
	readConfig(): Promise<FleetConfig>;
	snapshot(): Snapshot;
	/** In force now. */
	membership(): Membership;
	peers(): KnownPeer[];
	/** Puts the read configuration in force: links, members, hashes. */
	apply(membership: Membership): Promise<void>;
	/** Aborted when the fleet closes. */
	closing: AbortSignal;
}

/** A step ends itself a little before the rollout's deadline, so that the reason is its own. */
const deadlineShare = 0.9;

/** Looks at this node's file for a service, and starts nothing. */
export async function checkHere(
	ports: StepPorts,
	request: Omit<CheckRequest, 'kind' | 'rollout'>,
): Promise<CheckResult> {
	const { service, dryRun, local } = request;
	const nothing = { fault: null, members: null, memberHash: null, configHash: null };
	switch (service) {
		case 'clustering_config': {
			// All that could stop this node half-way, before any node changes anything.
			const next = readMembership(await ports.readConfig());
			const wall = ports.clock.wall();
			const now = ports.membership();
			assertCanFollow(now, next);
			assertCertificateInDate(next, wall);
			await assertCanListen(now, next);
			// Replicated, all nodes' files are held against each other instead.
			const cutOff = local ? whyCutOff(now, next, ports.peers(), wall) : null;
			if (cutOff !== null) throw new RollcallError('configuration', cutOff);
			const { members, memberHash, configHash } = next;
			const tls = tlsFactsOf(now, next, wall);
			const moves = movesAddress(now, next);
			return { fault: null, members, memberHash, configHash: configHash ?? noConfigHash, tls, moves };
		}
		case 'clustering':
		case 'http_workers':
		case null:
			return {
				...nothing,
				...(await appsHere(ports.local, {
					service,
					only: appsOf(request),
					dryRun: dryRun === true,
					putBack: request.putBack ?? null,
				})),
			};
	}
}

/** Where the own listener stands on the same port, only applying the file can tell. */
async function assertCanListen(now: Membership, next: Membership): Promise<void> {
	const [before, after] = [now.cluster?.listen, next.cluster?.listen];
	if (before && after && before.port !== after.port) await assertFree(after);
}

const wildcards: readonly string[] = ['0.0.0.0', '::'];

/** Whether peers no longer reach it where they do now; a wildcard takes in the address before. */
function movesAddress(now: Membership, next: Membership): boolean {
	const [before, after] = [now.cluster?.listen, next.cluster?.listen];
	if (!before || !after) return false;
	return before.port !== after.port || (before.host !== after.host && !wildcards.includes(after.host));
}

/** An app that is not here is a fault for this node alone; a fleet passes it over. */
async function appsHere(
	local: LocalNode,
	request: Parameters<LocalNode['preflight']>[0],
): Promise<Partial<CheckResult>> {
	try {
		const found = await local.preflight(request);
		if (found === null) return {};
		const { names, releases, added, removed } = found;
		return { apps: { added, removed }, appNames: names, ...(releases ? { releases } : {}) };
	} catch (error) {
		if (!(error instanceof LacksApp)) throw error;
		return { fault: clipped(error.message), lacksApp: true, appNames: error.names };
	}
}

/** What a node without `cluster:` has applied: nothing, and that is a configuration, too. */
export const noConfigHash = '0'.repeat(64);

export async function runStep(
	ports: StepPorts,
	step: StepRequest,
	onProgress: (text: string) => void,
): Promise<StepResult> {
	const { spec, attempt, before, recovered, refused } = step;
	if (spec.type === 'restart_service' && spec.service === 'clustering') return renewLinks(ports, step, onProgress);
	if (spec.type === 'restart_service' && spec.service === 'clustering_config') return applyConfig(ports, step);
	const putBack = spec.putBack?.[ports.membership().self] ?? null;
	const covered = { spec, only: appsOf(spec), attempt, before };
	const result = await ports.local.execute({ ...covered, recovered, refused, putBack, onProgress });
	const reason = result.reason === null ? null : clipped(result.reason);
	if (!result.after) return { ...result, before, reason };
	return { ...result, before, reason, after: { ...ports.snapshot(), workers: result.after.workers } };
}

async function renewLinks(
	ports: StepPorts,
	{ spec, before, recovered }: StepRequest,
	onProgress: (text: string) => void,
): Promise<StepResult> {
	// A daemon that was started in the middle of this has made all its links anew already.
	if (!recovered) ports.links.redialAll('the service clustering restarts on the other end');
	const wanted = before.links;
	const missing = (): string[] => {
		const live = ports.links.live();
		return wanted
			.filter((old) => !live.some((link) => link.node === old.node && link.id !== old.id))
			.map((old) => old.node);
	};
	const limitMs = spec.deadlineMs * deadlineShare;
	await waitForLinks(ports, limitMs, () => {
		const names = missing();
		if (names.length > 0) onProgress(`${wanted.length - names.length} of ${wanted.length} links are up again`);
		return names.length === 0;
	});
	// A daemon that was started in the middle of this may not have met its workers yet, and would call them gone.
	if (recovered) await ports.local.settled();
	const names = missing();
	const reason = names.length === 0 ? null : `no link to ${names.join(', ')} within ${Math.round(limitMs)} ms`;
	return unchangedWorkers(ports, before, names.length === 0 ? 'back' : 'failed', reason);
}

/** Resolves when the condition holds, or the time is over. */
function waitForLinks(ports: StepPorts, limitMs: number, condition: () => boolean): Promise<void> {
	return new Promise((resolve) => {
		const end = (): void => {
			ports.links.off('up', look);
			ports.closing.removeEventListener('abort', end);
			cancel();
			resolve();
		};
		const look = (): void => {
			if (condition()) end();
		};
		const cancel = ports.clock.after(limitMs, end);
		ports.links.on('up', look);
		ports.closing.addEventListener('abort', end);
		look();
	});
}

async function applyConfig(ports: StepPorts, { spec, before }: StepRequest): Promise<StepResult> {
	try {
		const next = readMembership(await ports.readConfig());
		const wanted = spec.configHashes?.[next.self];
		// A file that was replaced since was not compared with those of the other nodes.
		if (wanted !== undefined && wanted !== (next.configHash ?? noConfigHash))
			throw new RollcallError('unavailable', replacedSince);
		await ports.apply(next);
		return unchangedWorkers(ports, before, 'back', null);
	} catch (error) {
		return unchangedWorkers(ports, before, 'refused', clipped(`nothing was changed: ${messageOf(error)}`));
	}
}

const replacedSince =
	'the cluster section, or a file that it names, is another one than was checked when this began; a new request checks it';

/** Evidence of a step that leaves the workers alone. */
function unchangedWorkers(
	ports: StepPorts,
	before: Snapshot,
	outcome: StepResult['outcome'],
	reason: string | null,
): StepResult {
	const now = ports.snapshot();
	const workers = now.workers.map((worker) => ({ ...worker, proven: true, joined: true }));
	return {
		outcome,
		before,
		after: { ...now, workers },
		wanted: workers.length,
		oldGone: true,
		cutOff: 0,
		reason,
	};
}
