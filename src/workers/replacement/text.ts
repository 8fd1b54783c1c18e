import type { Newcomer, ReplacementState } from './model.js';

/** What the replacement waits for, in words for an operator. */
export function describeReplacement(state: ReplacementState): string {
	const news = [...state.news.values()];
	const count = (...phases: Newcomer['phase'][]) => news.filter((one) => phases.includes(one.phase)).length;
	switch (state.stage.stage) {
		case 'planned':
			return 'about to begin';
		case 'proving':
			return `${count('proven', 'joining', 'settling', 'settled')} of ${news.length} new workers healthy`;
		case 'canary':
		case 'joining':
			return `${count('settled')} of ${news.length} new workers serving`;
		case 'comparing':
			return `old and new workers serve side by side: ${state.compared ?? 'no answer yet'}`;
		case 'draining': {
			const compared = state.compared === null ? '' : `; ${state.compared}`;
			const left = [...state.olds.values()].filter((one) => one.phase === 'draining').length;
			return `${left} old ${left === 1 ? 'worker' : 'workers'} draining${compared}`;
		}
		case 'ending':
			return `ending the new workers: ${state.stage.reason}`;
		case 'finished':
			return state.stage.outcome;
	}
}
