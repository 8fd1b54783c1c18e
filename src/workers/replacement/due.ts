import type { ReplacementState } from './model.js';

/**
 * When the passing of time alone changes something about a replacement, on the clock of its events; infinity while only
 * another event can. So the runner needs one timer and never looks in between.
 */
export function dueAt({ stage, plan, news, missed }: ReplacementState): number {
	const { proofTimeoutMs, settle, compareMs, drainTimeoutMs, goneTimeoutMs } = plan;
	switch (stage.stage) {
		case 'proving':
			return earliest([...news.values()].map((one) => (one.phase === 'proving' ? one.since + proofTimeoutMs : never)));
		case 'canary':
		case 'joining':
			// One that missed a probe waits for the next answer.
			return earliest(
				[...news].map(([id, one]) => (one.phase === 'settling' && !missed.has(id) ? one.since + settle.capMs : never)),
			);
		case 'comparing':
			return missed.size > 0 ? never : stage.since + compareMs;
		case 'draining':
			return stage.since + drainTimeoutMs + (stage.forced ? goneTimeoutMs : 0);
		case 'ending': {
			const isDraining = [...news.values()].some((one) => one.phase === 'ending' && one.served);
			return stage.since + (isDraining && !stage.forced ? drainTimeoutMs : goneTimeoutMs);
		}
		case 'planned':
		case 'finished':
			return never;
	}
}

const never = Number.POSITIVE_INFINITY;

const earliest = (times: readonly number[]): number => Math.min(never, ...times);
