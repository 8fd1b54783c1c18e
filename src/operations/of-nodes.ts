import { messageOf } from '../errors.js';
import type { NodeAnswer } from '../fleet/queries/queries.js';
import type { Query } from '../fleet/queries/schema.js';
import { optionalText } from './fields.js';
import type { OperationContext } from './types.js';

/** Rows of other nodes: how an operation is told of which ones, and how it answers. */
export const nodeField = optionalText({
	summary: 'Whose: the name of a node, or all; this node’s own without it.',
	lengthMax: 63,
});

/** What a row has beside its own keys once `node` was given; one with `error` has no others. */
export const ofOtherNodes = {
	node: { type: 'string', description: 'only if a node, or all, was asked for' },
	error: { type: 'string', description: 'why the node did not answer; the row has no other keys then' },
} as const;

/** The rows of the node, or of all, each with its node; of one that does not answer there is a row that says why. */
export async function rowsOf({ node, caller }: OperationContext, query: Query, asked: string): Promise<object[]> {
	// Dispatch has let nobody in without one.
	const role = caller.role ?? 'viewer';
	const answers = node.fleet.ask(query, { node: asked, role, signal: new AbortController().signal });
	return (await Promise.all(answers.map(rowsOfNode))).flat();
}

async function rowsOfNode({ node, parts }: NodeAnswer): Promise<object[]> {
	const rows: object[] = [];
	try {
		for await (const part of parts) for (const row of part.rows) rows.push({ node, ...row });
	} catch (error) {
		rows.push({ node, error: messageOf(error) });
	}
	return rows;
}
