/** The texts of durations, sizes and shares: how they are written, and what they come to. */

const milliseconds = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
const bytes = { k: 1024, K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const;

/** A whole number and a unit: `500ms`, `30s`, `5m`, `1h`. */
export const durationPattern = /^[0-9]{1,9}(?:ms|s|m|h)$/;
/** A whole number and a unit of 1024: `64k`, `512M`, `2G`. */
export const sizePattern = /^[0-9]{1,9}[kKMG]$/;
/** A whole number from 1 to 100 and a per cent sign. */
/** Such as 5% or 0.5%, from 0% on. */
export const sharePattern = /^(?:100|[1-9]?[0-9](?:\.[0-9])?)%$/;
export const percentPattern = /^(?:[1-9][0-9]?|100)%$/;

/** Milliseconds of a text that matches {@link durationPattern}. */
export function durationMs(text: string): number {
	const unit = text.endsWith('ms') ? 'ms' : (text.slice(-1) as 's' | 'm' | 'h');
	return Number(text.slice(0, -unit.length)) * milliseconds[unit];
}

/** The shortest text for a number of milliseconds, for messages. */
export function durationText(ms: number): string {
	if (ms === 0) return '0s';
	const unit = (['h', 'm', 's'] as const).find((candidate) => ms % milliseconds[candidate] === 0) ?? 'ms';
	return `${ms / milliseconds[unit]}${unit}`;
}

/** Bytes of a text that matches {@link sizePattern}. */
export function sizeBytes(text: string): number {
	return Number(text.slice(0, -1)) * bytes[text.slice(-1) as keyof typeof bytes];
}

/** A number, or a text that matches {@link percentPattern} of the whole: rounded down, never below 1. */
export function shareOf(share: number | string, whole: number): number {
	const count = typeof share === 'number' ? share : Math.floor((whole * Number.parseInt(share, 10)) / 100);
	return Math.max(1, count);
}

const portMax = 65_535;

/** A text that is a port, as apps read `PORT`; null for any other, such as the path of a socket. */
export function portNumber(text: string | null): number | null {
	const port = text === null || text.trim() === '' ? Number.NaN : Number(text);
	return Number.isInteger(port) && port > 0 && port <= portMax ? port : null;
}
