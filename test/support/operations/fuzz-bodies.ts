import fc from 'fast-check';
import { operations } from '../../../src/operations/table.js';
import { systemAttributes } from '../../../src/system/information/attributes.js';

const operationNames = operations.map(({ name }) => name);
const fieldNames = [...new Set(operations.flatMap(({ fields }) => Object.keys(fields)))];

/** Values that mean something to some field, among those that mean nothing. */
const value = fc.oneof(
	fc.constantFrom<unknown>(
		...[
			'primary',
			'maintenance',
			'availability',
			'Available',
			'Unavailable',
			'http_workers',
			'clustering',
			'clustering_config',
		],
		...['halt', 'continue', 'super_user', 'viewer', 'admin', 'bob', 'web', '50%', '0%', '', 'x'.repeat(513)],
		...[true, false, null, 0, 1, -1, 1.5, 1e308, [], {}],
	),
	fc.jsonValue({ maxDepth: 3 }),
	fc.subarray([...systemAttributes]),
);

/** Request bodies as texts: from nearly right to noise. */
export const bodies: fc.Arbitrary<string> = fc.oneof(
	{
		weight: 6,
		arbitrary: fc
			.tuple(
				fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...operationNames) }, { weight: 1, arbitrary: value }),
				fc.dictionary(
					fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...fieldNames, '__proto__') }, fc.string()),
					value,
					{ maxKeys: 5 },
				),
			)
			.map(([operation, fields]) => JSON.stringify({ ...fields, operation })),
	},
	{ weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((json) => JSON.stringify(json)) },
	{ weight: 1, arbitrary: fc.string({ maxLength: 100 }) },
);

/** A body with some of its bytes changed, dropped or doubled. */
export const mutated: fc.Arbitrary<Buffer> = fc
	.tuple(
		bodies,
		fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'drop', 'double', 'cut')), { maxLength: 4 }),
	)
	.map(([text, changes]) => {
		let bytes = Buffer.from(text);
		for (const [where, byte, change] of changes) {
			const index = bytes.length === 0 ? 0 : where % bytes.length;
			const [head, tail] = [bytes.subarray(0, index), bytes.subarray(index)];
			if (change === 'set') bytes = Buffer.concat([head, Buffer.from([byte]), tail.subarray(1)]);
			else if (change === 'drop') bytes = Buffer.concat([head, tail.subarray(1)]);
			else if (change === 'double') bytes = Buffer.concat([head, tail, tail]);
			else bytes = Buffer.from(head);
		}
		return bytes.subarray(0, 65_536);
	});
