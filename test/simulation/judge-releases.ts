/** Judges I12: from which release the workers of a node are started, by what was asked for and what an undo puts back. */
import type { RolloutSpec } from '../../src/rollout/types.js';
import type { Truth } from '../support/rollout/fake-executor.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import type { Evidence } from './evidence.js';

/** What one node may start, as seen from outside. */
export interface Runs {
	/** The step that replaces its workers. */
	step: RolloutSpec | null;
	/** Where it stays until a rollout brings another one; null: it starts what its file names. */
	stays: string | null;
	/** Revisions that served there as a whole set. */
	proven: Set<string>;
	/** It lost its state folder: where it stays is not known until a rollout has brought it somewhere. */
	lost: boolean;
	/** What it ran when a rollout first began there, by its id; null: it may have forgotten that. */
	before: Map<string, string | null>;
	/** What it ran when it was last asked before a step. */
	seen: string | null;
}

/** Every node starts from it. */
const first = 'v1';

export function runsOf({ runs }: Evidence, { name }: SimNode): Runs {
	const known = runs.get(name);
	if (known) return known;
	const proven = new Set([first]);
	const fresh: Runs = { step: null, stays: null, proven, lost: false, before: new Map(), seen: null };
	runs.set(name, fresh);
	return fresh;
}

const runningOn = ({ executor }: SimNode): string | null => executor.releases()['web']?.revision ?? null;

/** The one release of all workers that are wanted; null: too few serve, or they run several. */
function wholeOn({ executor }: SimNode): string | null {
	const { workers, wanted } = executor;
	const first = workers[0]?.release ?? null;
	const isOne = workers.every(({ release }) => release === first);
	return isOne && workers.length === wanted && executor.healthy() === wanted ? first : null;
}

/** Whatever serves as a whole set is proven. */
export function noteProven(evidence: Evidence, node: SimNode): void {
	const whole = wholeOn(node);
	if (whole !== null) runsOf(evidence, node).proven.add(whole);
}

const replaces = ({ type, service }: RolloutSpec): boolean => type === 'restart' || service === 'http_workers';

export function noteSeen(evidence: Evidence, node: SimNode): void {
	runsOf(evidence, node).seen = runningOn(node);
}

/** The node has stored that its step begins. */
export function noteBegun(evidence: Evidence, node: SimNode, rollout: string): void {
	const { before, seen } = runsOf(evidence, node);
	if (!before.has(rollout)) before.set(rollout, seen);
}

/** Its workers live on; what it knew of releases is gone, or as old as the copy. */
export function noteForgotten(evidence: Evidence, node: SimNode): void {
	const known = runsOf(evidence, node);
	known.lost = true;
	known.step = null;
	for (const rollout of known.before.keys()) known.before.set(rollout, null);
}

/** The step begins to replace workers. */
export function judgeReleaseStep(evidence: Evidence, node: SimNode, spec: RolloutSpec): void {
	if (!replaces(spec)) return;
	const known = runsOf(evidence, node);
	noteProven(evidence, node);
	noteBegun(evidence, node, spec.id);
	known.step = spec;
	if (spec.reverts === undefined || known.lost) return;
	const before = known.before.get(spec.reverts);
	if (before === undefined)
		evidence.fail('I12', `${node.name} begins in ${spec.id}, but ${spec.reverts}, which it undoes, never began there`);
	if (before != null && !known.proven.has(before))
		evidence.fail('I12', `${node.name} is put back on ${before}, which was never proven there`);
}

/** What an undo puts a node back on: what it ran before the first attempt of the rollout that is undone. */
function goesBackTo(known: Runs, { name }: SimNode, { reverts, putBack }: RolloutSpec): string | null {
	return known.before.get(reverts ?? '') ?? putBack?.[name]?.['web']?.revision ?? null;
}

/** Workers were started, in a step or with the host. */
export function judgeStarted(evidence: Evidence, node: SimNode, revision: string): void {
	const known = runsOf(evidence, node);
	const { step, stays, lost } = known;
	noteProven(evidence, node);
	const { deployed } = node.executor.kept;
	const isReleaseStep = step?.service === 'http_workers';
	if (lost && !isReleaseStep) return;
	const wanted = !isReleaseStep
		? (stays ?? deployed)
		: step.reverts === undefined
			? deployed
			: goesBackTo(known, node, step);
	if (revision !== wanted)
		evidence.fail('I12', `${node.name} starts ${revision}${step ? ` in ${step.id}` : ''}; it may start ${wanted}`);
	if (node.executor.kept.gone.has(revision))
		evidence.fail('I12', `${node.name} starts ${revision}, whose files are gone`);
}

/** A step has ended: what it brought stays, or what was there before. */
export function judgeReleaseEnded(evidence: Evidence, node: SimNode, { spec, outcome, begun, back }: Truth): void {
	if (!replaces(spec)) return;
	const known = runsOf(evidence, node);
	known.step = null;
	if (!begun) return;
	noteProven(evidence, node);
	const whole = wholeOn(node);
	if (back && spec.service === 'http_workers') {
		known.stays = spec.reverts === undefined ? null : goesBackTo(known, node, spec);
		known.lost = false;
		if (known.stays !== null && whole !== known.stays)
			evidence.fail('I12', `${node.name} is back in ${spec.id} and runs ${whole}, not ${known.stays}`);
	} else if (outcome === 'refused' && whole !== node.executor.kept.deployed) known.stays ??= whole;
}
