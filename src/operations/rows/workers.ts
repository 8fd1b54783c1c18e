import { operation } from '../operation.js';
import { nodeField, ofOtherNodes, rowsOf } from '../of-nodes.js';

const text = { type: 'string' };
const integer = { type: 'integer' };
const orNull = (type: string) => ({ type: [type, 'null'] });
/** Which rollout left an app on this release, where it stays until the next one, and why; null if none did. */
export const pinnedBy = { type: ['object', 'null'], properties: { rollout: text, reason: text } };

export const workerOperations = [
	operation({
		name: 'list_workers',
		access: 'viewer',
		fields: { node: nodeField },
		summary: 'Lists the http workers of this node, or of others; during a replacement both sets.',
		answer: {
			type: 'array',
			items: {
				type: 'object',
				properties: {
					...ofOtherNodes,
					app: text,
					id: text,
					pid: orNull('integer'),
					state: { type: 'string', enum: ['starting', 'proving', 'serving', 'draining', 'backoff', 'failed'] },
					started_at: orNull('integer'),
					restarts: integer,
					healthy: { type: 'boolean' },
					memory: orNull('integer'),
					cpu: orNull('number'),
					release: text,
					revision: orNull('string'),
					pinned: pinnedBy,
					requests: {
						type: ['object', 'null'],
						properties: {
							total: integer,
							errors: integer,
							slow: integer,
							recent: {
								type: 'object',
								properties: { ms: integer, total: integer, errors: integer, slow: integer },
							},
						},
					},
				},
			},
		},
		handler: (context, { node }) =>
			node === undefined ? context.node.workers.rows() : rowsOf(context, { about: 'workers' }, node),
	}),
	operation({
		name: 'node_status',
		access: 'viewer',
		fields: { node: nodeField },
		summary:
			'Says of this node, or of others, whether it is ready, why not, what to know of it, and how its apps stand.',
		answer: {
			type: 'array',
			items: {
				type: 'object',
				properties: {
					...ofOtherNodes,
					ready: { type: 'boolean' },
					reasons: { type: 'array', items: text },
					notes: { type: 'array', items: text },
					apps: {
						type: 'array',
						items: {
							type: 'object',
							properties: {
								app: text,
								wanted: integer,
								healthy: integer,
								degraded: orNull('string'),
								release: {
									type: ['object', 'null'],
									properties: { path: text, revision: orNull('string') },
								},
								pinned: pinnedBy,
							},
						},
					},
				},
			},
		},
		handler: (context, { node }) =>
			rowsOf(context, { about: 'status' }, node ?? context.node.fleet.clusterStatus().node),
	}),
	operation({
		name: 'cluster_status',
		access: 'viewer',
		fields: {},
		summary: 'Lists the nodes of the fleet as this node sees them, itself included.',
		answer: {
			type: 'object',
			properties: {
				node: text,
				boot: integer,
				coordinator: orNull('string'),
				nodes: {
					type: 'array',
					items: {
						type: 'object',
						properties: {
							name: text,
							zone: orNull('string'),
							link: { type: 'string', enum: ['self', 'up', 'down'] },
							boot: orNull('integer'),
							ready: orNull('boolean'),
							availability: orNull('string'),
							version: orNull('string'),
							configuration: { type: ['string', 'null'], enum: ['file', 'last_good', null] },
							rtt_ms: orNull('number'),
							last_seen: orNull('integer'),
							reason: orNull('string'),
							clock_offset_ms: orNull('integer'),
							authorities: {
								type: ['object', 'null'],
								properties: {
									accepts: {
										type: 'array',
										items: { type: 'object', properties: { id: text, name: text, from: { type: 'integer' } } },
									},
									presents: { type: 'array', items: text },
								},
							},
						},
					},
				},
			},
		},
		handler: ({ node }) => node.fleet.clusterStatus(),
	}),
];
