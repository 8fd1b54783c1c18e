/** One line of a benchmark's table. */
export interface Figure {
	what: string;
	value: number;
	unit: string;
	/** The most it may be; absent: it is only shown. */
	most?: number;
}

/** Nearest rank, so that it is a value that was measured; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Several runs of the same figures: of each the median. What it may be is the median's too, where runs differ in it. */
export function medianOf(runs: readonly (readonly Figure[])[]): Figure[] {
	return (runs[0] ?? []).map((figure, index) => {
		const same = runs.flatMap((run) => run[index] ?? []);
		const limits = same.flatMap(({ most }) => most ?? []);
		const value = median(same.map((one) => one.value));
		return { ...figure, value, ...(limits.length > 0 && { most: median(limits) }) };
	});
}

export const isHeld = ({ value, most }: Figure): boolean => most === undefined || value <= most;

/** Three significant digits say more than a noisy machine can vouch for. */
const shown = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));

export function table(figures: readonly Figure[]): string {
	const rows = figures.map((figure) => {
		const { what, value, unit, most } = figure;
		const limit = most === undefined ? '' : `at most ${shown(most)}${isHeld(figure) ? '' : '  MISSED'}`;
		return [what, `${shown(value)} ${unit}`.trim(), limit] as const;
	});
	const wide = (column: 0 | 1): number => Math.max(...rows.map((row) => row[column].length));
	return rows
		.map(([what, value, limit]) => `${what.padEnd(wide(0))}  ${value.padStart(wide(1))}  ${limit}`.trimEnd())
		.join('\n');
}
