import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { openApiDocument } from '../../../src/operations/openapi.js';
import { operations } from '../../../src/operations/table.js';

test('the OpenAPI document is valid 3.1 and describes every operation with its fields', async () => {
	const document = openApiDocument('1.2.3');
	const validator = new Validator();
	const result = await validator.validate(structuredClone(document));
	assert.deepEqual(result.errors, undefined);
	assert.equal(result.valid, true);
	assert.equal(validator.version, '3.1');
	const { schemas } = document['components'] as { schemas: Record<string, { properties: object; required: string[] }> };
	for (const { name, fields } of operations) {
		const schema = schemas[name];
		assert.ok(schema, name);
		assert.deepEqual(Object.keys(schema.properties), ['operation', ...Object.keys(fields)]);
		const required = Object.entries(fields).filter(([, field]) => field.required);
		assert.deepEqual(schema.required, ['operation', ...required.map(([field]) => field)]);
	}
});
