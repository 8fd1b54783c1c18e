import { z } from '../zod.js';
import {
	durationMs,
	durationPattern,
	durationText,
	percentPattern,
	sharePattern,
	sizeBytes,
	sizePattern,
} from './document/values.js';

/**
 * The kinds of value a configuration is made of. In every kind the error is the text that completes "expected …", and
 * nothing else: where it stands and what stood there instead is added by whoever knows the file.
 */

/** Timers hold 2^31 - 1 ms at most; a day is well below and longer than anything here should ever take. */
const durationMaxMs = 86_400_000;
const textMax = 4096;

export function text(expected = 'a text') {
	return matching(/^[^\0]+$/, expected);
}

/** A text of one form; the length is bounded in any case. */
export function matching(pattern: RegExp, expected: string) {
	return z.string({ error: expected }).max(textMax, { error: expected }).regex(pattern, { error: expected });
}

/** Line breaks and control characters are refused, so that what was meant as content is not taken for a path. */
export function path(expected = 'a path') {
	return matching(/^[^\p{Cc}]+$/u, expected);
}

export function duration(minMs = 1, maxMs = durationMaxMs) {
	const expected = `a duration from ${durationText(minMs)} to ${durationText(maxMs)}, such as 500ms, 30s or 5m`;
	return z
		.string({ error: expected })
		.regex(durationPattern, { error: expected })
		.refine((value) => durationMs(value) >= minMs && durationMs(value) <= maxMs, { error: expected })
		.transform(durationMs);
}

export function size(expected = 'a size such as 512k, 512M or 2G') {
	return z
		.string({ error: expected })
		.regex(sizePattern, { error: expected })
		.refine((value) => sizeBytes(value) >= 1, { error: expected })
		.transform(sizeBytes);
}

export function whole(min: number, max: number, expected = `a whole number from ${min} to ${max}`) {
	return z.int({ error: expected }).min(min, { error: expected }).max(max, { error: expected });
}

/** `orWord` may stand instead of the number. */
export function wholeOr<const Word extends string>(min: number, max: number, orWord: Word) {
	const expected = `a whole number of at least ${min} or ${orWord}`;
	const number = z.int({ error: expected }).min(min, { error: expected });
	const bounded = number.max(max, { error: `a whole number of at most ${max} or ${orWord}` });
	return z.union([bounded, z.literal(orWord, { error: expected })], { error: expected });
}

export function wholeOrPercent(max: number) {
	const expected = `a whole number from 1 to ${max}, or 1% to 100%`;
	return z.union([whole(1, max, expected), matching(percentPattern, expected)], { error: expected });
}

/** A share as a text such as 5%; becomes 0 to 1. */
export function share() {
	const expected = 'a share from 0% to 100%, such as 5% or 0.5%';
	return matching(sharePattern, expected).transform((value) => Number.parseFloat(value) / 100);
}

export function truth() {
	return z.boolean({ error: 'true or false' });
}

export function oneOf<const Words extends readonly [string, ...string[]]>(words: Words) {
	return z.enum(words, { error: `one of ${words.join(', ')}` });
}

/** A part of the configuration with keys of its own; any other key is refused. */
export function section<Shape extends z.ZodRawShape>(shape: Shape) {
	return z.strictObject(shape, { error: `a section with keys out of ${Object.keys(shape).join(', ')}` });
}

export function list<Item extends z.ZodType>(item: Item, max: number, what: string) {
	const expected = `a list of at most ${max} ${what}`;
	return z.array(item, { error: expected }).max(max, { error: expected });
}

// The folder `self` in worker_dir is that of the daemon's own user.
export const userName = matching(/^(?!self$)[a-z_][a-z0-9_-]{0,30}$/, 'the name of a system user or group');
