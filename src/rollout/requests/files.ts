/** The look at every target's file before a rollout is opened: a fault there refuses it, and nothing has begun. */
import type { Drive } from '../controller/state.js';
import { send, type Turn } from '../outbox.js';
import type { PendingStart } from '../state.js';
import { scopeOf } from '../targets/scope.js';
import type { NodeName } from '../types.js';
import { lookHere } from './dry-run.js';
import { unselectedBy } from './selection.js';
import { nothingLeft, passedOver, putBackFor } from './undo.js';

/** Asks each target that is heard and was not asked yet; false while an answer is missing. */
export function haveLooked(turn: Turn, drive: Drive, start: PendingStart, patienceMs: number): boolean {
	const { state, now } = turn;
	const { self } = state.settings;
	const unselected = unselectedBy(state, start.request);
	const heard = state.coordination.heard(now).filter((node) => !unselected.includes(node));
	// A node that may say what it would go back to is waited for a little.
	const isLate = (node: NodeName): boolean => !heard.includes(node) && state.coordination.peer(node)?.refused === null;
	if (start.undo !== null && now < start.askedAt + patienceMs && targetsOf(turn, start).some(isLate)) return false;
	for (const node of heard) {
		if (start.checks[node] !== undefined) continue;
		start.checks[node] = null;
		const about = { service: start.request.service, ...scopeOf(start.request), ...putBackFor(start.undo, node) };
		if (node === self) lookHere(turn, start.id, about);
		else send(turn, node, { kind: 'check', epoch: drive.epoch, rollout: start.id, ...about });
	}
	return heard.every((node) => start.checks[node]);
}

function targetsOf({ state }: Turn, { request }: PendingStart): NodeName[] {
	const unselected = unselectedBy(state, request);
	return state.members.map(({ name }) => name).filter((name) => !unselected.includes(name));
}

/** All targets of an undo say that they run already what they would go back to; null: some do not. */
export function whyNothing(turn: Turn, start: PendingStart): string | null {
	if (start.undo === null) return null;
	const same = passedOver(start.undo, start.checks);
	const targets = targetsOf(turn, start);
	return targets.every((name) => same.includes(name)) ? nothingLeft(targets) : null;
}
