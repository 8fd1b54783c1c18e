import { clean } from './terminal.js';

/** A row of an operation that was asked for a node, or all. */
export type NodeRow<Row> = (Row & { node: string }) | { node: string; error: string };

/** The rows, and a sentence for each node that does not answer. */
export function nodeRows<Row extends object>(
	answer: readonly (Row | NodeRow<Row>)[],
): { rows: (Row & { node?: string })[]; silent: string[] } {
	const rows: (Row & { node?: string })[] = [];
	const silent: string[] = [];
	for (const row of answer) {
		if ('error' in row && 'node' in row)
			silent.push(`${clean(String(row.node))} does not answer: ${clean(String(row.error))}`);
		else rows.push(row as Row & { node?: string });
	}
	return { rows, silent };
}
