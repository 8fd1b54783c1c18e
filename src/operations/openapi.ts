import { faults } from '../errors.js';
import { pinnedBy } from './rows/workers.js';
import { operations } from './table.js';
import type { Operation } from './types.js';

type Schema = Record<string, unknown>;

const json = (schema: Schema): Schema => ({ 'application/json': { schema } });
const errorSchema = { $ref: '#/components/schemas/Error' };
const readySchema = { $ref: '#/components/schemas/Readiness' };

/** The OpenAPI 3.1 document, made from the operation table. */
export function openApiDocument(version: string): Schema {
	return {
		openapi: '3.1.0',
		info: {
			title: 'Rollcall operations',
			version,
			description: 'One POST for every operation; the field `operation` says which.',
			license: { name: 'AGPL-3.0-or-later', identifier: 'AGPL-3.0-or-later' },
		},
		servers: [{ url: '/' }],
		security: [{ basic: [] }, { bearer: [] }],
		paths: {
			'/': { post: operationsPost() },
			'/livez': get('livez', 'Whether the process answers.', { 200: answer('It does.', readySchema) }, true),
			'/readyz': readiness('readyz'),
			'/health': readiness('health'),
			'/readyz/{app}': {
				...readiness('readyzApp'),
				parameters: [{ name: 'app', in: 'path', required: true, schema: { type: 'string' } }],
			},
			'/openapi.json': get('openapi', 'This document.', { 200: answer('The document.', { type: 'object' }) }, true),
			'/metrics': get('metrics', 'Metrics for Prometheus.', {
				200: { description: 'Metrics.', content: { 'text/plain': { schema: { type: 'string' } } } },
				401: answer('Credentials are missing or bad.', errorSchema),
			}),
		},
		components: {
			securitySchemes: {
				basic: { type: 'http', scheme: 'basic' },
				bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'a JSON Web Token, or an API token' },
			},
			schemas: { ...requestSchemas(), Error: errorBody, Readiness: readinessBody },
		},
	};
}

const errorBody: Schema = {
	type: 'object',
	required: ['error'],
	properties: {
		error: { type: 'string' },
		job_id: { type: 'string', description: 'With 409: the rollout in the way.' },
		state: {
			type: 'string',
			description: 'With 409: `halted`, or `unfinished` as far as this node knows, if there is nothing to wait for.',
		},
	},
};

const readinessBody: Schema = {
	type: 'object',
	properties: {
		ready: { type: 'boolean' },
		reasons: { type: 'array', items: { type: 'string' } },
		notes: { type: 'array', items: { type: 'string' } },
		apps: {
			type: 'array',
			items: {
				type: 'object',
				properties: {
					app: { type: 'string' },
					wanted: { type: 'integer' },
					healthy: { type: 'integer' },
					degraded: { type: ['string', 'null'] },
					listens: { const: false, description: 'only of an app that listens nowhere: it is no part of readiness' },
					release: {
						type: ['object', 'null'],
						properties: { path: { type: 'string' }, revision: { type: ['string', 'null'] } },
					},
					pinned: pinnedBy,
				},
			},
		},
	},
};

function operationsPost(): Schema {
	const statuses = [...new Set(Object.values(faults).map(({ http }) => http))].sort((one, other) => one - other);
	return {
		operationId: 'operate',
		summary: 'Runs one operation.',
		// create_authentication_tokens carries its own credentials.
		security: [{ basic: [] }, { bearer: [] }, {}],
		requestBody: {
			required: true,
			content: json({
				oneOf: operations.map(({ name }) => ({ $ref: `#/components/schemas/${name}` })),
				discriminator: {
					propertyName: 'operation',
					mapping: Object.fromEntries(operations.map(({ name }) => [name, `#/components/schemas/${name}`])),
				},
			}),
		},
		responses: {
			200: answer('What the operation answers.', {
				anyOf: operations.map((row) => ({ title: row.name, ...row.answer })),
			}),
			...Object.fromEntries(statuses.map((status) => [status, answer('Refused or failed.', errorSchema)])),
		},
	};
}

function requestSchemas(): Schema {
	return Object.fromEntries(operations.map((row) => [row.name, requestSchema(row)]));
}

function requestSchema(row: Operation): Schema {
	const fields = Object.entries(row.fields);
	return {
		type: 'object',
		description: row.summary,
		required: ['operation', ...fields.filter(([, { required }]) => required).map(([name]) => name)],
		additionalProperties: false,
		properties: {
			operation: { type: 'string', const: row.name },
			...Object.fromEntries(fields.map(([name, { schema, summary }]) => [name, { ...schema, description: summary }])),
		},
		'x-access': row.access,
	};
}

const answer = (description: string, schema: Schema): Schema => ({ description, content: json(schema) });

function get(operationId: string, summary: string, responses: Schema, open = false): Schema {
	return { get: { operationId, summary, ...(open ? { security: [{}] } : {}), responses } };
}

const readiness = (operationId: string): Schema => ({
	get: {
		operationId,
		summary: 'Whether requests should come here; with credentials also why not.',
		security: [{}, { basic: [] }, { bearer: [] }],
		responses: {
			200: answer('Ready.', readySchema),
			401: answer('Credentials are bad.', errorSchema),
			404: answer('There is no such app.', errorSchema),
			503: answer('Not ready.', readySchema),
		},
	},
});
