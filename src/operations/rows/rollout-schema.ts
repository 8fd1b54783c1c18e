const text = { type: 'string' };
const textOrNull = { type: ['string', 'null'] };
const timeOrNull = { type: ['integer', 'null'], description: 'ms since 1970' };

const processes = {
	oneOf: [
		{ type: 'null' },
		{
			type: 'object',
			properties: {
				boot: { type: 'integer' },
				workers: {
					type: 'array',
					items: {
						type: 'object',
						properties: { id: text, pid: { type: 'integer' }, started: { type: 'integer' } },
					},
				},
			},
		},
	],
};

const releases = {
	type: ['object', 'null'],
	description: 'by app',
	additionalProperties: { type: 'object', properties: { path: text, revision: textOrNull } },
};

/** What a node ran before and runs after, or would. */
export const nodeReleasesSchema = { type: 'object', properties: { before: releases, after: releases } };

const hookRun = {
	type: 'object',
	properties: {
		state: { type: 'string', enum: ['running', 'done', 'failed', 'unknown'] },
		node: text,
		detail: { ...textOrNull, description: 'How it ended, with its last lines.' },
		accepted: { ...text, description: 'Who resumed the rollout although it had not gone well.' },
	},
};

const hooksSchema = (...names: string[]) => ({
	type: 'object',
	description: 'Those that have begun.',
	properties: Object.fromEntries(names.map((name) => [name, hookRun])),
});

/** JSON Schema of a rollout as the operations answer it. */
export const rolloutSchema = {
	type: 'object',
	properties: {
		id: text,
		type: { type: 'string', enum: ['restart', 'restart_service'] },
		service: textOrNull,
		app: textOrNull,
		replicated: { type: 'boolean' },
		user: text,
		state: { type: 'string', enum: ['planned', 'running', 'paused', 'halted', 'completed', 'aborted'] },
		reason: textOrNull,
		waiting_for: textOrNull,
		coordinator: text,
		epoch: textOrNull,
		max_unavailable: { type: 'integer' },
		order: { type: 'array', items: text },
		nodes: {
			type: 'array',
			items: {
				type: 'object',
				properties: {
					node: text,
					state: { type: 'string', enum: ['pending', 'restarting', 'back', 'refused', 'failed', 'skipped'] },
					attempt: { type: 'integer' },
					before: processes,
					after: processes,
					release: nodeReleasesSchema,
					started_at: timeOrNull,
					back_at: timeOrNull,
					ended_at: timeOrNull,
					reason: textOrNull,
					hooks: hooksSchema('before_node', 'after_node'),
				},
			},
		},
		created_at: { type: 'integer', description: 'ms since 1970' },
		ended_at: timeOrNull,
		apps: { type: 'array', items: text, description: 'More than one app, but not all; app is null then.' },
		note: textOrNull,
		hold_after: { type: 'integer', description: 'It pauses once so many nodes are back; 0: it does not.' },
		held: { type: 'boolean', description: 'It is paused because of hold_after.' },
		selected: {
			type: 'object',
			description: 'What the request selected; both null: every node.',
			properties: { nodes: { type: ['array', 'null'], items: text }, zone: textOrNull },
		},
		asked_by: {
			type: 'object',
			properties: {
				user: text,
				from: { ...textOrNull, description: 'socket, signal, revert (as on_failure asked), or a network address' },
			},
		},
		reverts: { ...textOrNull, description: 'The rollout that it undoes.' },
		reverted_by: {
			...textOrNull,
			description: 'The rollout that undoes it; of a halted one, that will be opened at once.',
		},
		hooks: hooksSchema('before_rollout', 'after_rollout'),
	},
};
