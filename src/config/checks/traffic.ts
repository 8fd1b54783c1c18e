import type { HttpWorkerConfig } from '../schema.js';
import type { Conflict } from './conflicts.js';
import type { KeyPath } from '../document/faults.js';
import { isSilent } from './silent-programs.js';
import { durationText } from '../document/values.js';

/** Answers are compared second by second, each once its requests were answered: less than this shows nothing. */
const windowLeastMs = 5_000;

/** Answers are counted inside the worker, by the preload of Node, and compared while old and new serve side by side. */
export function trafficConflicts(app: HttpWorkerConfig, at: (...path: (string | number)[]) => KeyPath): Conflict[] {
	const { window, slow } = app.traffic;
	if (window === 0 && slow === 0) return [];
	const conflict = (expected: string, got: string, hint: string): Conflict[] => [
		{ at: [at('traffic', 'window'), at('traffic')], expected, got, hint },
	];
	if (window === 0) {
		const expected = 'no traffic.slow without a traffic.window, in which answers are compared';
		const hint = 'set traffic.window, such as 1m, or take traffic.slow out';
		return [{ at: [at('traffic', 'slow'), at('traffic')], expected, got: durationText(slow), hint }];
	}
	if (app.interpreter !== 'node') {
		const expected = `no traffic.window, since only workers of interpreter node count their answers and ${app.interpreter} runs in fork mode`;
		return conflict(expected, durationText(window), 'take traffic out: the release is proven by its health alone');
	}
	if (isSilent(app)) {
		const expected = 'no traffic.window, since ports: [] says that the app listens nowhere';
		return conflict(expected, durationText(window), 'take traffic out: there are no answers to compare');
	}
	if (!app.overlap) {
		const expected = 'no traffic.window beside overlap: false, since old and new workers never serve side by side';
		return conflict(expected, durationText(window), 'take one of the two out');
	}
	if (window >= windowLeastMs) return [];
	const expected = `0s, or a window of at least ${durationText(windowLeastMs)}`;
	return conflict(expected, durationText(window), '30s or 1m show a good deal');
}
