/** What keeps the next step of a rollout from beginning. */
import { awaitedForHold } from '../controller/hold.js';
import type { Drive } from '../controller/state.js';
import type { Turn } from '../outbox.js';
import type { TargetStatus } from './targets.js';
import { type Budget, standingOf, whatIsDown } from './budget.js';
import type { OpenRollout } from '../messages.js';
import type { CoreState } from '../state.js';

/** A node that is back in this rollout and not ready any more, or not heard, stops everything: the change may be bad. */
export function unreadyBack({ state }: Turn, open: OpenRollout, targets: readonly TargetStatus[]): string | null {
	if (open.spec.service === 'clustering_config') return null;
	for (const one of targets) {
		if (one.state !== 'back' || open.flags.skipped.includes(one.node)) continue;
		if (!one.heard) return `${one.node}, which was back, to be heard again`;
		const why = whyDown(state, one);
		if (why !== null) return `${one.node}, which was back, to be ready again (${why})`;
	}
	return null;
}

function whyDown(state: CoreState, { node }: TargetStatus): string | null {
	const readiness = standingOf(state, node)?.readiness;
	return readiness ? whatIsDown(readiness) : null;
}

/** A node that is back in this rollout is heard, and has lost workers since. */
export function isOutOfOrder({ state }: Turn, { flags }: OpenRollout, targets: readonly TargetStatus[]): boolean {
	const isDown = (one: TargetStatus): boolean =>
		(standingOf(state, one.node)?.readiness.apps ?? []).some(({ healthy, wanted }) => healthy < wanted);
	return targets.some((one) => one.state === 'back' && one.heard && !flags.skipped.includes(one.node) && isDown(one));
}

/** Why no step begins now, for people. */
export function blockedBy(
	turn: Turn,
	drive: Drive,
	open: OpenRollout,
	targets: readonly TargetStatus[],
	budget: Budget,
): string {
	const { state } = turn;
	if (!state.coordination.isConfirmed(open)) return 'a majority to store the rollout';
	const successor = state.coordination.successor();
	if (successor !== null) return `${successor} to take over the lease before ${state.settings.self} restarts itself`;
	const back = unreadyBack(turn, open, targets);
	if (back) return back;
	const awaited = awaitedForHold(drive, open, targets);
	if (awaited.length > 0)
		return `${awaited.join(', ')} to be heard, which may be back already, since hold_after is ${open.spec.holdAfter}`;
	const pending = targets.filter((one) => one.state === 'pending');
	const unheard = pending.filter((one) => !one.heard).map((one) => one.node);
	if (open.spec.service !== 'clustering_config') {
		const used = [...budget.used].map(([name, why]) => `${name} ${why}`);
		if (used.length > 0) return `a free slot: ${used.join(', ')}, and max_unavailable is ${open.spec.maxUnavailable}`;
	}
	if (unheard.length > 0) return `${unheard.join(', ')} to be heard`;
	return 'the next step to begin';
}
