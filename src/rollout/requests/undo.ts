/** What an undo puts back: by what the rollout shows that it undoes, and by what its targets say that they run now. */
import type { CheckResult, Checked, CoreRequest, Member, OpenRollout, Refusal } from '../messages.js';
import { type Scope, scopeOf } from '../targets/scope.js';
import type { Turn } from '../outbox.js';
import type { PutBack } from '../state.js';
import type { NodeName, NodeReleases, Releases, RolloutView } from '../types.js';
import { viewOf } from '../views/view.js';
import { nothingToPutBack } from '../controller/reasons.js';

type ViewNode = RolloutView['nodes'][number];

/** Whether both are the same releases; of one without a revision nobody can say. */
export function isSameRelease(one: Releases, other: Releases): boolean {
	const apps = Object.keys(one);
	return (
		apps.length === Object.keys(other).length &&
		apps.every((app) => {
			const [here, there] = [one[app], other[app]];
			return here?.revision != null && here.path === there?.path && here.revision === there.revision;
		})
	);
}

/** Whether a node runs already what it is to go back to. */
export function runsAlready(putBack: Releases | undefined, running: Releases | null | undefined): boolean {
	if (!putBack || !running) return false;
	const concerned = Object.fromEntries(Object.entries(running).filter(([app]) => Object.hasOwn(putBack, app)));
	return isSameRelease(putBack, concerned);
}

/** It runs what the rollout brought, or nobody knows what: it is back, or failed, or its step has not ended. */
function wasTouched({ state, release }: ViewNode): boolean {
	if (state === 'back' || state === 'failed' || state === 'restarting') return true;
	if (state !== 'refused' || !release?.before || !release.after) return false;
	return !isSameRelease(release.before, release.after);
}

const isWhole = ({ state }: ViewNode): boolean => state === 'back';

const hasNothing = (release: NodeReleases | undefined): boolean => Object.keys(release?.before ?? {}).length === 0;

/** Nothing shows that it brought anything: at least one app ran from the same path, and what lay there then is not known. */
function isUnknown({ release }: ViewNode): boolean {
	const { before, after } = release ?? {};
	if (!before || !after) return false;
	const pairs = Object.entries(before).map(([app, then]) => [then, after[app]] as const);
	const isBlind = ([then, now]: (typeof pairs)[number]): boolean =>
		then.path === now?.path && (then.revision === null || now.revision === null);
	return (
		pairs.some(isBlind) &&
		pairs.every((one) => isBlind(one) || isSameRelease({ app: one[0] }, one[1] ? { app: one[1] } : {}))
	);
}

/** The apps that ran before: one that the rollout brought is left as it is. */
function scopeOfUndo(view: RolloutView, putBack: Readonly<Record<NodeName, Releases>>): Scope {
	const kept = new Set(Object.values(putBack).flatMap((releases) => Object.keys(releases)));
	const came = view.nodes.flatMap(({ release }) => Object.keys(release?.after ?? {}));
	if (came.every((app) => kept.has(app))) return scopeOf(view);
	const names = [...kept].sort();
	return names.length > 1 ? { app: null, apps: names } : { app: names[0] ?? null };
}

export interface Undo {
	/** The request with the nodes and apps that it comes to. */
	request: CoreRequest;
	undo: PutBack;
}

/** Throws nothing: a text says why it cannot be undone at all. */
export function undoOf(view: RolloutView, request: CoreRequest, members: readonly Member[]): Undo | string {
	const { id } = view;
	const what = view.service ?? view.type;
	if (view.type !== 'restart_service' || view.service !== 'http_workers')
		return `Rollout ${id} was one of ${what}, which changes no release; only rollouts of http_workers can be undone`;
	const isMember = (name: NodeName): boolean => members.some((member) => member.name === name);
	const touched = view.nodes.filter((one) => isMember(one.node) && wasTouched(one));
	if (touched.length === 0) return `${nothingToPutBack}: no node runs what rollout ${id} brought`;
	const lacking = touched.filter(({ release }) => hasNothing(release)).map(({ node }) => node);
	if (lacking.length > 0) {
		const have = lacking.length === 1 ? 'has' : 'have';
		return `${lacking.join(', ')} ${have} nothing to go back to: it is not known what ran there before rollout ${id}`;
	}
	const unknown = touched.filter((one) => isWhole(one) && isUnknown(one)).map(({ node }) => node);
	if (unknown.length > 0)
		return `${unknown.join(', ')} started what lies at the same path as before, so there may be nothing to go back to: it has no revision that would tell`;
	const putBack = Object.fromEntries(touched.map(({ node, release }) => [node, release?.before ?? {}]));
	const targets = touched.filter((one) => !isWhole(one) || !runsAlready(one.release?.before ?? {}, one.release?.after));
	if (targets.length === 0) return nothingLeft(touched.map(({ node }) => node));
	const nodes = targets.map(({ node }) => node);
	const whole = touched.filter(isWhole).map(({ node }) => node);
	const asked = { ...request, ...scopeOfUndo(view, putBack), nodes, onFailure: 'halt', holdAfter: 0 } as const;
	return {
		request: { ...asked, maxUnavailable: request.maxUnavailable ?? view.max_unavailable },
		undo: { putBack, whole },
	};
}

/** `nothing to put back: beta, gamma run it already` */
export function nothingLeft(nodes: readonly NodeName[]): string {
	return `${nothingToPutBack}: ${[...nodes].sort().join(', ')} ${nodes.length === 1 ? 'runs' : 'run'} it already`;
}

const refusal = (code: Refusal['code'], message: string): Refusal => ({ code, message, extra: {} });

/** What a request to undo comes to by what is known now; null: it is none. */
export function undoNow(turn: Turn, request: CoreRequest): Undo | Refusal | null {
	const { state } = turn;
	if (request.reverts === undefined) return null;
	const view = viewOf(state, request.reverts, turn);
	if (!view) return refusal('not_found', `Rollout '${request.reverts}' not found`);
	const members = request.replicated ? state.members : state.members.filter(({ name }) => name === state.settings.self);
	const undo = undoOf(view, request, members);
	return typeof undo === 'string' ? refusal('invalid', undo) : undo;
}

export const isUndo = (found: Undo | Refusal | null): found is Undo => found !== null && 'undo' in found;

/** The targets that say that they run already what they would go back to. */
export function passedOver(undo: PutBack | null, checks: Readonly<Record<NodeName, CheckResult | null>>): NodeName[] {
	if (undo === null) return [];
	const { putBack, whole } = undo;
	return whole.filter((node) => runsAlready(putBack[node], checks[node]?.releases?.before));
}

/** What a look at a node's file is about, if it is to go back. */
export function putBackFor(undo: PutBack | null, node: NodeName): Pick<Checked, 'putBack'> {
	const releases = undo?.putBack[node];
	return releases ? { putBack: releases } : {};
}

/** As a coordinator asks for it itself, since `on_failure` is revert. */
export function revertRequest({ spec }: OpenRollout): CoreRequest {
	const { id, type, service, app, replicated, user, maxUnavailable } = spec;
	return { type, service, app, replicated, user, maxUnavailable, onFailure: 'halt', reverts: id, from: 'revert' };
}
