import { count, durationOf, isDuration, optionalText } from '../fields.js';
import { operation } from '../operation.js';
import type { OperationContext } from '../types.js';
import { nodeField, ofOtherNodes } from '../of-nodes.js';

const linesMax = 100_000;
const linesDefault = 20;
const text = { type: 'string' };
const nameMax = 128;

const sinceFault = "'since' must be a duration such as 30s, 5m, 1h or 2d, or a time such as 2026-05-18T12:00:00Z";

/** ms since 1970 of a time with its zone; NaN for anything else, a local time included. */
const timeOf = (value: string): number =>
	/^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : Number.NaN;

const fields = {
	app: optionalText({ summary: 'Of this app alone.', lengthMax: nameMax }),
	worker: optionalText({ summary: 'Of this worker alone.', lengthMax: nameMax }),
	node: nodeField,
	release: optionalText({
		summary: 'Of workers that ran it: the path of the script, or the beginning of a revision.',
		lengthMax: 4_096,
	}),
	lines: count({
		summary: `How many of the last lines of each worker's stdout and stderr; ${linesDefault} if not given, or all with since.`,
		min: 0,
		max: linesMax,
	}),
	since: optionalText({
		summary: 'Only what was written since: a duration such as 10m, or a time such as 2026-05-18T12:00:00Z.',
		rule: (value) =>
			typeof value !== 'string' || isDuration(value) || Number.isFinite(timeOf(value)) ? null : sinceFault,
	}),
};

interface LogsRequest {
	app?: string | undefined;
	worker?: string | undefined;
	node?: string | undefined;
	release?: string | undefined;
	lines?: number | undefined;
	since?: string | undefined;
}

function linesOf({ node, caller }: OperationContext, request: LogsRequest, follow: boolean, signal: AbortSignal) {
	const { app = null, worker = null, release = null, since, lines } = request;
	const query = {
		app,
		worker,
		release,
		lines: lines ?? (since === undefined ? linesDefault : linesMax),
		agoMs: since === undefined ? null : agoOf(since),
		follow,
	};
	// Dispatch has let nobody in without a role.
	const role = caller.role ?? 'viewer';
	return node.fleet.logs(query, { node: request.node ?? node.fleet.clusterStatus().node, role, signal });
}

const agoOf = (since: string): number =>
	isDuration(since) ? durationOf(since) : Math.max(0, Date.now() - timeOf(since));

export const logOperations = [
	operation({
		name: 'read_logs',
		access: 'operator',
		fields,
		summary:
			'Reads what the http workers of this node wrote, or of others, by time; with Accept: application/x-ndjson a line each, then what comes.',
		answer: {
			type: 'array',
			items: {
				type: 'object',
				properties: {
					time: { type: 'integer', description: 'ms since 1970, by the clock of the node that was asked' },
					node: text,
					app: text,
					worker: text,
					stream: { type: 'string', enum: ['out', 'error'] },
					text,
					error: ofOtherNodes.error,
					note: {
						type: 'string',
						description: 'that a node which was lost is followed again; the row has no other keys then',
					},
				},
			},
		},
		async handler(context, request) {
			const rows: object[] = [];
			for await (const row of linesOf(context, request, false, new AbortController().signal)) rows.push(row);
			return rows;
		},
		stream: (context, request, signal) => linesOf(context, request, true, signal),
	}),
];
