/** The flags of `rollcall rollout start` and `rollout plan` as fields of `start_rollout`. */
import { RollcallError } from '../../errors.js';

export interface RequestFlags {
	node?: string[];
	zone?: string;
	holdAfter?: string;
	note?: string;
	maxUnavailable?: string;
	onFailure?: string;
}

export function requestedFields(flags: RequestFlags, apps: readonly string[]): Record<string, unknown> {
	const { node, zone, holdAfter, note, maxUnavailable, onFailure } = flags;
	const fields: Record<string, unknown> = {
		app: apps.length > 1 ? apps : apps[0],
		nodes: node?.includes('all') ? undefined : node,
		zone,
		hold_after: holdAfter === undefined ? undefined : wholeNumber('--hold-after', holdAfter),
		note,
		max_unavailable: maxUnavailable === undefined ? undefined : numberOrText(maxUnavailable),
		on_failure: onFailure,
	};
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

const isWhole = (text: string): boolean => /^\d{1,9}$/.test(text);

function wholeNumber(flag: string, text: string): number {
	if (isWhole(text)) return Number(text);
	throw new RollcallError('usage', `${flag} takes a number of nodes, not '${text}'.`);
}

const numberOrText = (text: string): number | string => (isWhole(text) ? Number(text) : text);

const flagOf: Readonly<Record<string, string>> = {
	app: 'APP',
	nodes: '--node',
	zone: '--zone',
	hold_after: '--hold-after',
	note: '--note',
	max_unavailable: '--max-unavailable',
	on_failure: '--on-failure',
};

/** The daemon's text about fields of the request, for a person who typed flags. */
export const inFlags = (text: string): string =>
	text.replace(/'(\w+)(?:\[\d+\])?'(?= (?:names|must|is|length)\b)/g, (all, field: string) => flagOf[field] ?? all);
