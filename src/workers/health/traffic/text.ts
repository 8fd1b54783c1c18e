import { durationText } from '../../../config/document/values.js';
import type { TrafficRule } from '../../types.js';
import type { TrafficComparison } from './comparison.js';
import { type Answers, shareOf } from './evidence.js';

type Rule = Pick<TrafficRule, 'requests' | 'slowMs'>;

/** What was seen of the answers of both releases, in words for an operator. */
export function describeTraffic(seen: Pick<TrafficComparison, 'isPossible' | 'evidence' | 'slow'>, rule: Rule): string {
	if (!seen.isPossible) return notCompared;
	const { evidence } = seen;
	const errors = `the new release answered 5xx to ${figures(evidence.new, ' requests')}, the old one to ${figures(evidence.old)}`;
	const few = evidence.new.requests < rule.requests ? `; fewer than ${rule.requests} are not judged` : '';
	return `${errors}${slowText(seen.slow, rule)}${few}`;
}

function slowText(slow: TrafficComparison['slow'], { slowMs }: Rule): string {
	if (!slowMs) return '';
	if (slow === null) return `; ${notTimed}`;
	return `; it took longer than ${durationText(slowMs)} to answer ${figures(slow.new)}, the old one ${figures(slow.old)}`;
}

const notCompared =
	'answers are not compared, since the old workers were started before traffic.window was set and do not count them';

const notTimed =
	'times are not compared, since the old workers were started with another traffic.slow and do not take them by this one';

function figures(answers: Answers, what = ''): string {
	const share = answers.requests === 0 ? '' : ` (${(100 * shareOf(answers)).toFixed(1)} %)`;
	return `${answers.errors} of ${answers.requests}${what}${share}`;
}
