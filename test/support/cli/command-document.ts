import assert from 'node:assert/strict';
import type { z } from 'zod';
import { messageLineShape } from '../../../src/cli/output/json-schemas.js';
import type { CommandResult } from './command.js';

/**
 * What a command with `--json` wrote to stdout, held against its published shape: nothing but one document, which has no
 * key that is not published. stderr has JSON lines alone, the last of which tells the exit code where there is no document.
 */
export function documentOf({ code, stdout, stderr }: CommandResult, shape: z.ZodType | null): unknown {
	const told = stderr.split('\n').filter(Boolean);
	const messages = told.map((line) => messageLineShape.parse(JSON.parse(line)));
	if (shape === null) {
		assert.equal(stdout, '');
		const last = messages.at(-1);
		assert.ok(last?.event === 'error', stderr);
		assert.equal(last.exit, code);
		assert.ok(last.error.length > 10, last.error);
		return null;
	}
	const [line = '', ...rest] = stdout.split('\n');
	assert.deepEqual(rest, [''], 'one line');
	const document: unknown = JSON.parse(line);
	assert.deepEqual(shape.parse(document), document);
	return document;
}
