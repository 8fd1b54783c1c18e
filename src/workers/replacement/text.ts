import type { Newcomer, ReplacementState } from './steps.js';

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
		case 'draining': {
			const left = [...state.olds.values()].filter((one) => one.phase === 'draining').length;
			return `${left} old ${left === 1 ? 'worker' : 'workers'} draining`;
		}
		case 'ending':
			return `ending the new workers: ${state.stage.reason}`;
		case 'finished':
			return state.stage.outcome;
	}
}
