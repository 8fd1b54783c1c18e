/** Parts of texts for people. */
import type { RolloutFlags } from '../messages.js';
import type { NodeRecord } from '../types.js';

const dayMs = 86_400_000;

/** Time of day, UTC, to the second: `12:00:31Z`. `wall` in ms since 1970. */
export function timeOfDay(wall: number): string {
	const seconds = Math.floor((wall % dayMs) / 1000);
	const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
	return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}Z`;
}

/** A text to be continued: without its final full stop. */
export function clause(text: string): string {
	return text.replace(/[.\s]+$/, '');
}

/** Why a rollout halted, and what an operator may do about it. */
export function haltText({ halted, advice }: Pick<RolloutFlags, 'halted' | 'advice'>): string {
	return `${halted ?? ''}${advice ? `. ${advice}` : ''}`;
}

/** Of a node that hears no majority. */
export function frozen(missing: readonly string[], members: number): string {
	return `frozen, hears ${members - missing.length} of ${members}; missing: ${missing.join(', ')}`;
}

/** For a step whose end was not observed. `what`: links, or workers. */
export function mayStillRestart(nodes: readonly string[], what: 'workers' | 'links'): string {
	const rest = what === 'workers' ? ': old and new workers may both live' : ' its links';
	return `${nodes.join(', ')} may still be restarting${rest}`;
}

/** What a step that went well cost clients, and what it was not judged by; null when there is nothing to say. */
export function remarkOn(record: NodeRecord | null | undefined): string | null {
	if (record?.state !== 'back') return null;
	const { cutOff = 0, reason = null } = record.result ?? {};
	const were = cutOff === 1 ? 'request or connection was' : 'requests or connections were';
	const cost = cutOff === 0 ? null : `${cutOff} ${were} ended by drain.timeout`;
	return [cost, reason].filter((text) => text !== null).join('; ') || null;
}
