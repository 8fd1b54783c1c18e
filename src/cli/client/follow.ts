import { setTimeout as delay } from 'node:timers/promises';
import { RollcallError } from '../../errors.js';
import type { RolloutView } from '../../rollout/types.js';
import { createProgress, type Progress } from '../output/progress.js';
import { isOver, rolloutText } from '../output/render.js';
import type { Connection } from './connect.js';
import { clean, type Terminal, writeMessage, writeResult } from '../output/terminal.js';
import { forPeople, shortId, span } from '../output/format.js';

/** A daemon that restarts is away for a while; only after this long does following give up. */
const awayMaxMs = 120_000;
const retryFirstMs = 50;
const retryMaxMs = 2000;

/**
 * Follows a rollout and shows it; resolves to the exit code. `hold`: until it ends or holds, since then an operator has to look;
 * who only watches sees it through to its end. With `hold` the daemon has just answered with the id, so it may be away for a while.
 * One that is undone because it failed is followed by its undo.
 */
export async function followRollout(
	connection: Connection,
	id: string,
	terminal: Terminal,
	signal: AbortSignal,
	until: 'end' | 'hold',
): Promise<number> {
	const late = connection.timeoutMs === null ? null : AbortSignal.timeout(connection.timeoutMs);
	const isLast = (one: RolloutView) => isOver(one) || (until === 'hold' && one.held === true);
	const view = await followOne({ connection, terminal, signal, late, isLast }, id, until === 'hold');
	const by = view.state === 'aborted' ? (view.reverted_by ?? null) : null;
	if (by === null) return shown(connection, terminal, view);
	const undo = await followOne({ connection, terminal, signal, late, isLast }, by, true);
	// What was asked for is the document; how it was undone is for people.
	writeResult(terminal, view, (page) => rolloutText(undo, Date.now(), page));
	const advice = adviceFor(undo, connection.words);
	if (advice !== null) writeMessage(terminal, advice);
	writeMessage(terminal, revertedText(view, undo));
	return 6;
}

function shown({ words }: Connection, terminal: Terminal, view: RolloutView): number {
	writeResult(terminal, view, (page) => rolloutText(view, Date.now(), page));
	const advice = adviceFor(view, words);
	if (advice !== null) writeMessage(terminal, advice);
	return view.state === 'completed' || view.held === true ? 0 : 6;
}

/** One line that says how the rollout ended that was to be followed. */
function revertedText(view: RolloutView, undo: RolloutView): string {
	const back = undo.nodes.filter(({ state }) => state === 'back').map(({ node }) => node);
	const what = `Rollout ${view.id} ${view.reason ?? ''}`.trim();
	const ran = `what ran before runs again on ${back.join(', ') || 'no node'}`;
	const end = undo.state === 'completed' ? ran : `the undo ${undo.state}: ${undo.reason ?? ''}`;
	return clean(forPeople(`Not rolled out. ${what}; ${end}`));
}

interface Following {
	connection: Connection;
	terminal: Terminal;
	signal: AbortSignal;
	/** Fires when `--timeout` is over. */
	late: AbortSignal | null;
	isLast: (view: RolloutView) => boolean;
}

/** `isKnown`: a daemon has told of it, so one that does not know it is away, or will know it soon. */
async function followOne(
	{ connection, terminal, signal, late, isLast }: Following,
	id: string,
	isKnown: boolean,
): Promise<RolloutView> {
	const again = `rollcall rollout follow ${id}${connection.words}`;
	const progress = createProgress(terminal);
	const either = late ? AbortSignal.any([signal, late]) : signal;
	try {
		const view = await lastView(connection, { id, isKnown }, progress, either, isLast);
		progress.end(terminal.outIsTerminal);
		return view;
	} catch (error) {
		progress.end(false);
		if (late?.aborted && !signal.aborted) {
			const text = `The rollout did not end within ${span(connection.timeoutMs ?? 0)}; it goes on. Follow it again: ${again}`;
			throw new RollcallError('timeout', text, { job_id: id });
		}
		if (signal.aborted || isUnreachable(error)) {
			writeMessage(
				terminal,
				`${signal.aborted ? '\nThe rollout goes on' : 'The rollout may go on'}. Follow it again: ${again}`,
			);
		}
		throw error;
	}
}

async function lastView(
	{ client }: Connection,
	{ id, isKnown }: { id: string; isKnown: boolean },
	progress: Progress,
	signal: AbortSignal,
	isLast: (view: RolloutView) => boolean,
): Promise<RolloutView> {
	let heardAt: number | null = isKnown ? performance.now() : null;
	let retryMs = retryFirstMs;
	let isAway = false;
	for (;;) {
		try {
			for await (const view of client.changes(id, signal)) {
				heardAt = performance.now();
				retryMs = retryFirstMs;
				isAway = false;
				progress.show(view);
				if (isLast(view)) return view;
			}
		} catch (error) {
			if (signal.aborted || heardAt === null || !mayPass(error)) throw error;
			if (performance.now() - heardAt > awayMaxMs) throw error;
			if (!isAway) progress.say(`The daemon at ${client.where} is away; trying again.`);
			isAway = true;
		}
		await delay(retryMs, undefined, { signal });
		retryMs = Math.min(retryMaxMs, retryMs * 2);
	}
}

/** A daemon that has just started may not know the rollout yet, or may not answer. */
function mayPass(error: unknown): boolean {
	return error instanceof RollcallError && ['unreachable', 'unavailable', 'not_found'].includes(error.code);
}

function isUnreachable(error: unknown): boolean {
	return error instanceof RollcallError && error.code === 'unreachable';
}

/** Matches whole names: a name may contain dashes and be part of another. */
const isNamed = (node: string, text: string): boolean => new RegExp(`(?<![a-z0-9-])${node}(?![a-z0-9-])`).test(text);

/** What an operator can do about a rollout that did not complete. */
export function adviceFor(view: RolloutView, words: string): string | null {
	if (view.held === true) return heldAdvice(view, words);
	if (view.state !== 'halted' || view.reverted_by) return null;
	const left = view.nodes.filter(({ state }) => state !== 'back' && state !== 'skipped').map(({ node }) => node);
	if (view.service === 'clustering_config' && view.replicated) return changeAdvice(view, left, words);
	// It may be one that was back and is not ready any more.
	const inTheWay = view.nodes.find(({ node }) => isNamed(node, view.reason ?? ''))?.node;
	const leftOut = `  leave a node out  rollcall rollout resume ${shortId(view.id)} --skip ${inTheWay ?? left[0] ?? 'NODE'}${words}`;
	return [
		`Not restarted: ${left.join(', ') || 'none'}. When the cause is fixed:`,
		`  go on             rollcall rollout resume ${shortId(view.id)}${words}`,
		// Without its only node a rollout has nothing to do.
		...(view.nodes.length > 1 && !isHookInTheWay(view) ? [leftOut] : []),
		`  end it            rollcall rollout abort ${shortId(view.id)}${words}`,
	].join('\n');
}

/** No node was touched, and none is to blame. */
function isHookInTheWay({ hooks }: RolloutView): boolean {
	const run = hooks?.before_rollout;
	return (run?.state === 'failed' || run?.state === 'unknown') && run.accepted === undefined;
}

/** Left out, a node would keep the old members, so the fleet would be split: no way that is offered. */
const changeAdvice = (view: RolloutView, left: readonly string[], words: string): string =>
	[
		`Not applied on ${left.join(', ') || 'none'}. When the cause is fixed:`,
		`  go on             rollcall rollout resume ${shortId(view.id)}${words}`,
		`  or start anew     rollcall restart_service service=clustering_config replicated=true${words}`,
		`  end it half-way   rollcall rollout abort ${shortId(view.id)}${words}`,
	].join('\n');

function heldAdvice(view: RolloutView, words: string): string {
	const back = view.nodes.filter(({ state }) => state === 'back').map(({ node }) => node);
	return [
		`Held. Look at ${back.join(', ')}, then:`,
		`  go on             rollcall rollout resume ${shortId(view.id)}${words}`,
		`  end it            rollcall rollout abort ${shortId(view.id)}${words}`,
	].join('\n');
}
