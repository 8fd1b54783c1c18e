import { type Answers, shareOf, type TrafficEvidence } from './evidence.js';

/** What was seen of the answers of both releases, in words for an operator. */
export function describeTraffic(evidence: TrafficEvidence, requests: number): string {
	const text = `the new release answered 5xx to ${figures(evidence.new, ' requests')}, the old one to ${figures(evidence.old, '')}`;
	return evidence.new.requests < requests ? `${text}; fewer than ${requests} are not judged` : text;
}

export const notCompared =
	'answers are not compared, since the old workers were started before traffic.window was set and do not count them';

function figures(answers: Answers, what: string): string {
	const share = answers.requests === 0 ? '' : ` (${(100 * shareOf(answers)).toFixed(1)} %)`;
	return `${answers.errors} of ${answers.requests}${what}${share}`;
}
